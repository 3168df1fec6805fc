//! podman's own service as the engine: what goes in and comes out is what podman says it has.

use crate::support::Outcome;
use crate::support::World;
use imgit::oci::digest::Digest;
use imgit::oci::docker_archive::DockerArchiveSink;
use imgit::oci::sink::Sink;
use imgit::oci::tar_output::Target;
use imgit::remote::engine::Engine;
use imgit::remote::engine::address::Address;
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;
use tempfile::TempDir;

/// A service with a store of its own.
struct Podman {
    folder: TempDir,
    service: Child,
}

impl Podman {
    fn start() -> Podman {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("engine.sock");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "120"]).args(podman(folder.path()));
        command.args(["system", "service", "--time=0", &format!("unix://{}", socket.display())]);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let service = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(&socket).is_err() {
            let log = || fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "podman's service does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Podman { folder, service }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn engine(&self) -> Engine {
        Engine::at(&Address::Unix(self.path("engine.sock"))).unwrap()
    }

    /// What podman itself prints, without the service.
    fn run(&self, line: &str) -> String {
        let mut command = Command::new("timeout");
        command.arg("60").args(podman(self.folder.path())).args(line.split_whitespace());
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Id, diff ids and names, as podman has them.
    fn image(&self, name: &str) -> String {
        self.run(&format!(
            "image inspect {name} --format {{{{.Id}}}}|{{{{.RootFS.Layers}}}}|{{{{.RepoTags}}}}"
        ))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // `timeout` hands the signal on to podman, and SIGKILL would end `timeout` alone.
        let _ = Command::new("kill").arg(self.service.id().to_string()).status();
        let _ = self.service.wait();
    }
}

fn podman(folder: &Path) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (root, run) = (path("root"), path("run"));
    ["podman", "--storage-driver", "vfs", "--cgroup-manager=cgroupfs", "--runtime=/usr/sbin/runc"]
        .into_iter()
        .chain(["--log-level", "error", "--root", &root, "--runroot", &run])
        .map(String::from)
        .collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

#[test]
fn images_go_into_podman_and_out_of_it() {
    let podman = Podman::start();
    let engine = podman.engine();
    let version = engine.version().unwrap();
    assert!(version.is_podman() && version.os == "linux", "{version:?}");
    assert!(podman.run("version").contains(&version.version));

    // In, as an archive of Docker's.
    let mut archive = fs::File::open(fixture("web-v2.docker.tar")).unwrap();
    let names = engine.load(&mut archive).unwrap();
    assert_eq!(names, ["docker.io/library/web:v2"]);
    let loaded = podman.image("docker.io/library/web:v2");

    // Out: the same config and the same layers, whoever saves it.
    let source = engine.source("docker.io/library/web:v2", podman.folder.path()).unwrap();
    let [root] = &source.roots().unwrap()[..] else { panic!("one image") };
    assert_eq!(root.names, ["docker.io/library/web:v2"]);
    podman.run(&format!("save -q -o {} docker.io/library/web:v2", podman.path("own.tar").display()));
    let mut streamed = Vec::new();
    engine.save("docker.io/library/web:v2").unwrap().read_to_end(&mut streamed).unwrap();
    fs::write(podman.path("streamed.tar"), streamed).unwrap();
    let members = |name: &str| {
        let mut archive = tar::Archive::new(fs::File::open(podman.path(name)).unwrap());
        let mut members = Vec::new();
        for member in archive.entries().unwrap() {
            let mut member = member.unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            members.push((member.path().unwrap().into_owned(), Digest::of(&bytes).to_string()));
        }
        members.sort();
        members
    };
    assert_eq!(members("streamed.tar"), members("own.tar"));

    // In again, through the sink, under another name, and into a store that has nothing of it.
    let mut root = root.clone();
    root.names = vec!["docker.io/library/again:1".into()];
    podman.run("rmi docker.io/library/web:v2");
    let copy = |sink: Box<dyn Sink>| copy(&*source, sink, &root);
    copy(Box::new(engine.sink().unwrap()));
    let parts = |image: &str| image.split('|').map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (parts(&loaded), parts(&podman.image("docker.io/library/again:1")));
    assert_eq!(before[..2], after[..2], "id and diff ids");
    assert_eq!(after[2].trim(), "[docker.io/library/again:1]");
    // What the sink sends is what it would write into a file.
    let path = podman.path("file.tar");
    copy(Box::new(DockerArchiveSink::create(Target::File { path: path.clone(), replace: false }).unwrap()));
    podman.run("rmi docker.io/library/again:1");
    podman.run(&format!("load -q -i {}", path.display()));
    assert_eq!(parts(&podman.image("docker.io/library/again:1")), after);

    // By id, and by a name that is not there.
    let id = after[0].clone();
    let by_id = engine.source(&format!("sha256:{id}"), podman.folder.path()).unwrap();
    assert_eq!(by_id.roots().unwrap()[0].descriptor, root.descriptor);
    let err = engine.save("docker.io/library/web:v3").map(drop).unwrap_err();
    let socket = podman.path("engine.sock");
    let expected =
        format!("image docker.io/library/web:v3 in the engine at unix://{} not found", socket.display());
    assert_eq!(err.to_string(), expected);
    // No archive at all: in podman's words, and nothing is left of it.
    let err = engine.load(&mut &[7; 300_000][..]).unwrap_err().to_string();
    assert!(err.contains("payload does not match any of the supported image formats"), "{err}");
    assert_eq!(podman.run("images -q --no-trunc").lines().count(), 1);
}

/// Every blob, the manifest, and the name.
fn copy(source: &dyn imgit::oci::source::Source, mut sink: Box<dyn Sink>, root: &imgit::oci::source::Root) {
    let mut bytes = Vec::new();
    source.open(&root.descriptor).unwrap().read_to_end(&mut bytes).unwrap();
    let manifest = imgit::oci::manifest::Manifest::parse(&bytes).unwrap();
    for blob in manifest.layers.iter().chain([&manifest.config, &root.descriptor]) {
        sink.put(blob, &mut source.open(blob).unwrap()).unwrap();
    }
    sink.finish(std::slice::from_ref(root)).unwrap();
}

#[test]
fn the_command_line_puts_images_into_the_engine_and_gets_them_back() {
    let (podman, world) = (Podman::start(), World::new());
    let imgit = |line: &str| {
        let mut command = world.command();
        command.env("DOCKER_HOST", format!("unix://{}", podman.path("engine.sock").display()));
        let outcome = Outcome::of(command.args(line.split_whitespace()).output().unwrap());
        assert_eq!(outcome.code, 0, "{line}: {outcome}");
        outcome.stdout
    };
    imgit("import docker-archive:testdata/notes-docker20.docker.tar:notes:1 web:v1");
    let config = imgit("inspect --config web:v1");
    imgit("export web:v1 docker-daemon:example.com/web:v1");
    assert!(podman.image("example.com/web:v1").contains(&crate::support::sha256(config.as_bytes())));
    imgit("import docker-daemon:example.com/web:v1 back");
    assert_eq!(imgit("inspect --config back"), config);
    assert_eq!(imgit("diff web:v1 back"), "");
}
