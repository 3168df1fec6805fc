use super::*;
use crate::remote::config::testing::World;

/// `ada:secret`, `bob:secret`, `eve:secret`.
const ADA: &str = "YWRhOnNlY3JldA==";
const BOB: &str = "Ym9iOnNlY3JldA==";
const EVE: &str = "ZXZlOnNlY3JldA==";

const RUNTIME: &str = "user/containers/auth.json";
const PERSON: &str = "home/.config/containers/auth.json";
const DOCKER: &str = "home/.docker/config.json";
const OLD: &str = "home/.dockercfg";

/// The user, `token:…`, `-` for nobody, or the words of the error.
fn user(world: &World, auth: &Auth, host: &str, repository: &str) -> String {
    match auth.find(host, repository) {
        Ok(Some(Credential::Password { user, .. })) => user,
        Ok(Some(Credential::IdentityToken(token))) => format!("token:{token}"),
        Ok(None) => "-".to_owned(),
        Err(err) => world.words(&err),
    }
}

fn auth(world: &World) -> Auth {
    Auth::new(&world.environment(), None, &[])
}

fn one(key: &str, auth: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#)
}

fn ada() -> Credential {
    Credential::Password { user: "ada".into(), password: "secret".into() }
}

/// One auth file with this text: who opens HOST/REPOSITORY?
fn check(text: &str, name: &str, expected: &str) {
    let world = World::with(&[(PERSON, text)]);
    let (host, repository) = name.split_once('/').unwrap();
    assert_eq!(user(&world, &auth(&world), host, repository), expected, "{name} in {text}");
}

#[test]
fn the_first_file_with_a_credential_wins() {
    let (ada, bob, eve) = (one("a.io", ADA), one("a.io", BOB), one("a.io", EVE));
    let old = format!(r#"{{"https://a.io/v1/":{{"auth":"{EVE}","email":"eve@a.io"}}}}"#);
    let files = [(RUNTIME, &ada[..]), (PERSON, &bob[..]), (DOCKER, &eve[..]), (OLD, &old[..])];
    for (from, expected) in ["ada", "bob", "eve", "eve"].iter().enumerate() {
        let world = World::with(&files[from..]);
        assert_eq!(user(&world, &auth(&world), "a.io", "x"), *expected);
        assert_eq!(user(&world, &auth(&world), "b.io", "x"), "-");
    }
    // A file that says nothing on this host does not end the search.
    let other = one("b.io", ADA);
    let world = World::with(&[(RUNTIME, &other), (OLD, &old)]);
    assert_eq!(user(&world, &auth(&world), "a.io", "x"), "eve");
}

#[test]
fn a_file_that_was_named_is_the_only_one() {
    let (ada, bob) = (one("a.io", ADA), one("a.io", BOB));
    let world = World::with(&[(RUNTIME, &ada), ("mine.json", &bob), ("empty.json", "")]);
    let mut environment = world.environment();
    let given = |environment: &Environment, name: &str| {
        let auth = Auth::new(environment, Some(&world.path(name)), &[]);
        user(&world, &auth, "a.io", "x")
    };
    assert_eq!(given(&environment, "mine.json"), "bob");
    assert_eq!(given(&environment, "empty.json"), "-");
    assert_eq!(
        given(&environment, "missing.json"),
        "cannot find the credentials for a.io: auth file W/missing.json not found"
    );
    environment.auth_file = Some(world.path("mine.json"));
    assert_eq!(user(&world, &Auth::new(&environment, None, &[]), "a.io", "x"), "bob");
    assert_eq!(given(&environment, "empty.json"), "-");
    // A job may name the file that a later login makes.
    environment.auth_file = Some(world.path("later.json"));
    assert_eq!(user(&world, &Auth::new(&environment, None, &[]), "a.io", "x"), "-");
}

#[test]
fn places_follow_the_environment() {
    let files = |environment: &Environment| {
        let files = default_files(environment);
        files.iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>()
    };
    let set = |variables: &'static [(&str, &str)]| {
        Environment::read(Path::new("/"), 7, |name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into())
        })
    };
    assert_eq!(
        files(&set(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/c")])),
        ["/r/containers/auth.json", "/c/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg"]
    );
    assert_eq!(
        files(&set(&[("HOME", "/h"), ("DOCKER_CONFIG", "/d")])),
        ["/run/containers/7/auth.json", "/h/.config/containers/auth.json", "/d/config.json", "/h/.dockercfg"]
    );
    assert_eq!(files(&set(&[])), ["/run/containers/7/auth.json"]);
}

#[test]
fn the_most_specific_key_wins() {
    let text = format!(
        r#"{{"auths":{{"a.io:5000":{{"auth":"{ADA}"}},"a.io:5000/ns":{{"auth":"{BOB}"}},
            "a.io:5000/ns/repo":{{"auth":"{EVE}"}},"a.io:5000/mark":{{}}}}}}"#
    );
    check(&text, "a.io:5000/ns/repo", "eve");
    check(&text, "a.io:5000/ns/repo/deep", "eve");
    check(&text, "a.io:5000/ns/other", "bob");
    check(&text, "a.io:5000/nsx/repo", "ada");
    check(&text, "a.io:5000/x", "ada");
    check(&text, "a.io:5000/mark", "ada");
    check(&text, "a.io/ns/repo", "-");
    check(&text, "io:5000/ns/repo", "-");
    check(&text, "a.io:5000/", "ada");
}

#[test]
fn docker_hub_has_many_names() {
    for key in [
        "docker.io",
        "index.docker.io",
        "registry-1.docker.io",
        "https://index.docker.io/v1/",
        "https://index.docker.io/v1",
        "http://index.docker.io/v1/",
        "https://registry-1.docker.io/v2/",
        "https://docker.io",
    ] {
        for host in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            check(&one(key, ADA), &format!("{host}/library/debian"), "ada");
        }
        check(&one(key, ADA), "a.io/library/debian", "-");
    }
    check(&one("docker.io/library", ADA), "docker.io/library/debian", "ada");
    check(&one("https://index.docker.io/v1/access-token", ADA), "docker.io/library/debian", "-");
    // The plain name goes before a URL, wherever it stands.
    let both = format!(
        r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{BOB}"}},"docker.io":{{"auth":"{ADA}"}}}}}}"#
    );
    check(&both, "docker.io/x", "ada");
}

#[test]
fn urls_of_other_hosts_are_cut_to_the_host() {
    check(&one("https://a.io:5000/v2/", ADA), "a.io:5000/x", "ada");
    check(&one("http://a.io", ADA), "a.io/x", "ada");
    check(&one("https://a.io", ADA), "b.a.io/x", "-");
}

#[test]
fn an_entry_has_many_forms() {
    check(r#"{"auths":{"a.io":{"identitytoken":"t"}}}"#, "a.io/x", "token:t");
    check(&format!(r#"{{"auths":{{"a.io":{{"auth":"{ADA}","identitytoken":"t"}}}}}}"#), "a.io/x", "token:t");
    check(&format!(r#"{{"auths":{{"a.io":{{"auth":"{ADA}","identitytoken":""}}}}}}"#), "a.io/x", "ada");
    check(r#"{"auths":{"a.io":{"username":"kay","password":"p"}}}"#, "a.io/x", "kay");
    check(r#"{"auths":{"a.io":{"username":"kay","auth":"YWRhOnA="}}}"#, "a.io/x", "ada");
    check(r#"{"auths":{"a.io":{"auth":"YWRhOnA"}}}"#, "a.io/x", "ada");
    check(r#"{"auths":{"a.io":{"auth":"YWRh\nOnA=\n"}}}"#, "a.io/x", "ada");
    for nobody in ["{}", "null", r#"{"auth":""}"#, r#"{"auth":null,"new":{"x":[1]}}"#] {
        check(&format!(r#"{{"auths":{{"a.io":{nobody}}}}}"#), "a.io/x", "-");
    }
    for nothing in ["", "  \n", "{}", r#"{"auths":null}"#, r#"{"auths":{}}"#, r#"{"proxies":{"x":1}}"#] {
        check(nothing, "a.io/x", "-");
    }
}

#[test]
fn a_password_keeps_its_colons_and_loses_dockers_padding() {
    // `ada:a:b` and three zero bytes.
    let world = World::with(&[(PERSON, &one("a.io", "YWRhOmE6YgAAAA=="))]);
    let expected = Credential::Password { user: "ada".into(), password: "a:b".into() };
    assert_eq!(auth(&world).find("a.io", "x").unwrap(), Some(expected));
}

#[test]
fn an_odd_file_is_named_and_no_secret_shown() {
    let path = "cannot find the credentials for a.io: W/home/.config/containers/auth.json";
    let entry = format!("{path}, `auths`, `a.io`");
    let refuse = |text: &str, expected: String| {
        let world = World::with(&[(PERSON, text)]);
        let words = user(&world, &auth(&world), "a.io", "x");
        assert_eq!(words, expected, "{text:.100}");
        assert!(!words.contains("hush"));
    };
    refuse("hush", format!("{path}, line 1: expected JSON"));
    refuse("{\n\"auths\": {\"hush", format!("{path}, line 2: expected JSON"));
    refuse(r#""hush""#, format!("{path}: expected an object"));
    refuse(r#"["hush"]"#, format!("{path}: expected an object"));
    let kind = "has a value of another kind than expected";
    refuse(r#"{"auths":"hush"}"#, format!("{path}, `auths`: {kind}"));
    refuse(r#"{"auths":{"a.io":"hush"}}"#, format!("{entry}: {kind}"));
    refuse(r#"{"auths":{"a.io":{"auth":["hush"]}}}"#, format!("{entry}: {kind}"));
    refuse(r#"{"credsStore":["hush"]}"#, format!("{path}, `credsStore`: {kind}"));
    refuse(r#"{"credHelpers":{"a.io":7}}"#, format!("{path}, `credHelpers`, `a.io`: {kind}"));
    let base64 = format!("{entry}: expected `auth` to be base64 of USER:PASSWORD");
    refuse(r#"{"auths":{"a.io":{"auth":"hush!"}}}"#, base64.clone());
    refuse(r#"{"auths":{"a.io":{"auth":"//79"}}}"#, base64);
    let colon = format!("{entry}: expected `auth` to have a colon between user and password");
    refuse(r#"{"auths":{"a.io":{"auth":"aHVzaA=="}}}"#, colon);
    // One entry that nobody can read keeps nobody from the others.
    check(&format!(r#"{{"auths":{{"b.io":7,"a.io":{{"auth":"{ADA}"}}}}}}"#), "a.io/x", "ada");
}

#[test]
fn a_hostile_file_costs_little() {
    let deep = |inner: &str| format!(r#"{{"x":{}{}}}"#, "[".repeat(400_000), inner);
    check(&deep(&"]".repeat(400_000)), "a.io/x", "-");
    let path = "cannot find the credentials for a.io: W/home/.config/containers/auth.json";
    check(&deep(""), "a.io/x", &format!("{path}, line 1: expected JSON"));
    let nested = format!(r#"{{"auths":{{"a.io":{{"x":{}{}}}}}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    check(&nested, "a.io/x", "-");
    let large = format!(r#"{{"x":"{}"}}"#, "a".repeat(1 << 20));
    check(&large, "a.io/x", &format!("{path} is over the limit of 1048576 bytes"));
    let many = format!(r#"{{"auths":{{{}"a.io":{{"auth":"{ADA}"}}}}}}"#, r#""":0,"#.repeat(190_000));
    check(&many, "a.io/x", "ada");
}

#[test]
fn a_helper_of_the_host_is_the_files_only_word() {
    let world = World::new();
    world.program("docker-credential-mine", r#"read s; echo "{\"Username\":\"mine:$s\",\"Secret\":\"p\"}""#);
    world.program("docker-credential-none", "echo credentials not found in native keychain; exit 1");
    world.program("docker-credential-token", r#"echo '{"Username":"<token>","Secret":"t"}'"#);
    let file = |helpers: &str| {
        let auths = format!(r#""auths":{{"a.io":{{"auth":"{ADA}"}},"b.io":{{"auth":"{BOB}"}}}}"#);
        world.write(RUNTIME, format!(r#"{{{auths},"credHelpers":{helpers}}}"#));
        world.write(PERSON, one("a.io", EVE));
        [("a.io", "ns/x"), ("b.io", "x"), ("docker.io", "library/debian")]
            .map(|(host, repository)| user(&world, &auth(&world), host, repository))
    };
    assert_eq!(file(r#"{"a.io":"mine"}"#), ["mine:a.io", "bob", "-"]);
    assert_eq!(file(r#"{"a.io":"none"}"#), ["eve", "bob", "-"]);
    assert_eq!(file(r#"{"a.io":"token"}"#), ["token:t", "bob", "-"]);
    assert_eq!(file(r#"{"a.io":""}"#), ["ada", "bob", "-"]);
    let [_, _, hub] = file(r#"{"https://index.docker.io/v1/":"mine"}"#);
    assert_eq!(hub, "mine:https://index.docker.io/v1/");
    let [_, _, hub] = file(r#"{"docker.io":"mine"}"#);
    assert_eq!(hub, "mine:docker.io");
    let begin = "cannot find the credentials for a.io: ";
    assert_eq!(
        file(r#"{"a.io":"gone"}"#)[0],
        format!("{begin}W/{RUNTIME}: the credential helper docker-credential-gone is not installed")
    );
    assert_eq!(
        file(r#"{"a.io":"../mine"}"#)[0],
        format!(
            "{begin}W/{RUNTIME}: credential helper `../mine`: expected a name of letters, digits, `.`, `_` and `-`"
        )
    );
}

#[test]
fn a_default_helper_goes_before_the_entries_of_its_file() {
    let world = World::new();
    world.program(
        "docker-credential-store",
        r#"read s; case $s in a.io|https://index*) echo "{\"Username\":\"$s\",\"Secret\":\"p\"}";;
           *) echo credentials not found in native keychain; exit 1;; esac"#,
    );
    let file = |auths: &str, name: &str| {
        world.write(DOCKER, format!(r#"{{"auths":{auths},"credsStore":"{name}"}}"#));
        ["a.io", "docker.io", "c.io"].map(|host| user(&world, &auth(&world), host, "x"))
    };
    assert_eq!(file("{}", "store"), ["a.io", "https://index.docker.io/v1/", "-"]);
    let plain = format!(r#"{{"a.io":{{"auth":"{ADA}"}},"c.io":{{"auth":"{BOB}"}}}}"#);
    assert_eq!(file(&plain, "store"), ["a.io", "https://index.docker.io/v1/", "bob"]);
    // Not installed: who needs no credential goes on, whoever left one there is told.
    let mark = r#"{"https://index.docker.io/v1/":{}}"#;
    let gone = format!(
        "cannot find the credentials for docker.io: W/{DOCKER}: the credential helper docker-credential-gone is not installed"
    );
    assert_eq!(file(mark, "gone"), ["-", &gone, "-"]);
    assert_eq!(file(&plain, "gone"), ["ada", "-", "bob"]);
}

#[test]
fn registries_conf_may_put_helpers_before_the_files() {
    let world = World::with(&[(PERSON, &one("a.io", ADA))]);
    world.program("docker-credential-b", r#"read s; [ $s = b.io ] && echo '{"Username":"b","Secret":"p"}' || { echo credentials not found; exit 1; }"#);
    world.program("docker-credential-bad", "echo locked; exit 1");
    let ask = |helpers: &[&str], host: &str| {
        let helpers: Vec<String> = helpers.iter().map(|name| name.to_string()).collect();
        user(&world, &Auth::new(&world.environment(), None, &helpers), host, "x")
    };
    assert_eq!(ask(&["b", FILES], "b.io"), "b");
    assert_eq!(ask(&["b", FILES], "a.io"), "ada");
    assert_eq!(ask(&["b"], "a.io"), "-");
    assert_eq!(ask(&["bad", FILES], "a.io"), "ada");
    assert_eq!(
        ask(&["bad", FILES], "c.io"),
        "cannot find the credentials for c.io: docker-credential-bad get: locked"
    );
}

#[test]
fn a_login_is_private_and_found_again() {
    let world = World::new();
    let auth = auth(&world);
    let place = auth.login("a.io:5000", &ada()).unwrap();
    assert_eq!(place, Place::File(world.path(RUNTIME)));
    assert_eq!((world.mode("user/containers"), world.mode(RUNTIME)), (0o700, 0o600));
    assert_eq!(
        world.text(RUNTIME),
        format!("{{\n\t\"auths\": {{\n\t\t\"a.io:5000\": {{\n\t\t\t\"auth\": \"{ADA}\"\n\t\t}}\n\t}}\n}}")
    );
    assert_eq!(auth.lookup("a.io:5000", "x").unwrap(), Some((ada(), place)));
    auth.login("a.io:5000/ns", &Credential::IdentityToken("t\"".into())).unwrap();
    assert_eq!(user(&world, &auth, "a.io:5000", "ns/x"), "token:t\"");
    assert_eq!(user(&world, &auth, "a.io:5000", "x"), "ada");

    assert_eq!(auth.logout("a.io:5000").unwrap(), [Place::File(world.path(RUNTIME))]);
    assert_eq!(auth.logout("a.io:5000").unwrap(), []);
    assert_eq!(user(&world, &auth, "a.io:5000", "x"), "-");
    assert_eq!(user(&world, &auth, "a.io:5000", "ns/x"), "token:t\"");
    assert_eq!(auth.logout_all().unwrap(), ["a.io:5000/ns"]);
    assert_eq!(auth.logout_all().unwrap(), [""; 0]);
    assert_eq!(world.text(RUNTIME), "{\n\t\"auths\": {}\n}");
}

#[test]
fn what_is_not_ours_in_the_file_stays_to_the_byte() {
    let text = concat!(
        "{\n\t\"proxies\": {\"default\": {\"n\": 1e400, \"big\": 123456789012345678901234567890}},\n",
        "\t\"auths\": {\n\t\t\"b.io\": {\"auth\": \"x\",   \"new\": [1, 2]},\n",
        "\t\t\"https://a.io/v2/\": {\"auth\": \"old\", \"identitytoken\": \"stale\"}\n\t},\n",
        "\t\"HttpHeaders\": {\"é\": \"\\u00e9\"}\n}\n"
    );
    let world = World::with(&[(RUNTIME, text)]);
    auth(&world).login("a.io", &ada()).unwrap();
    let old = "\"https://a.io/v2/\": {\"auth\": \"old\", \"identitytoken\": \"stale\"}";
    let new = format!("\"a.io\": {{\n\t\t\t\"auth\": \"{ADA}\"\n\t\t}}");
    assert_eq!(world.text(RUNTIME), text.replace(old, &new).trim_end());
    auth(&world).logout("a.io").unwrap();
    assert_eq!(world.text(RUNTIME), text.replace(&format!(",\n\t\t{old}"), "").trim_end());
}

#[test]
fn a_symlink_to_the_file_stays_one() {
    let world = World::with(&[("dotfiles/auth.json", "{}")]);
    crate::fs::create_dir_all(&world.path("user/containers")).unwrap();
    std::os::unix::fs::symlink(world.path("dotfiles/auth.json"), world.path(RUNTIME)).unwrap();
    auth(&world).login("a.io", &ada()).unwrap();
    assert!(crate::fs::look_no_follow(&world.path(RUNTIME)).unwrap().unwrap().is_symlink());
    assert!(world.text("dotfiles/auth.json").contains(ADA));
}

#[test]
fn dockers_own_file_has_dockers_own_key() {
    let world = World::new();
    let docker = Auth::new(&world.environment(), Some(&world.path(DOCKER)), &[]);
    docker.login("docker.io", &ada()).unwrap();
    assert!(world.text(DOCKER).contains("\"https://index.docker.io/v1/\""));
    assert_eq!(user(&world, &docker, "docker.io", "library/debian"), "ada");
    docker
        .login("index.docker.io", &Credential::Password { user: "bob".into(), password: "".into() })
        .unwrap();
    assert_eq!(user(&world, &docker, "docker.io", "library/debian"), "bob");
    assert_eq!(world.text(DOCKER).matches("auth\"").count(), 1);
    assert_eq!(docker.logout("docker.io").unwrap().len(), 1);
    assert_eq!(user(&world, &docker, "docker.io", "library/debian"), "-");
    let own = auth(&world);
    own.login("docker.io", &ada()).unwrap();
    assert!(world.text(RUNTIME).contains("\"docker.io\""));
}

#[test]
fn a_helper_takes_the_login_where_the_file_names_one() {
    let world = World::new();
    let keychain = |name: &str| {
        // The last server stored is what `get` and `list` know.
        let script = r#"f=$0.kept; case $1 in
            store) cat >$f;;
            get) read s; grep -q "\"$s\"" $f 2>/dev/null && cat $f || { echo credentials not found; exit 1; };;
            erase) read s; grep -q "\"$s\"" $f && rm $f;;
            list) [ -e $f ] && echo '{"l.io":"ada"}' || echo '{}';;
            esac"#;
        world.program(&format!("docker-credential-{name}"), script);
    };
    keychain("own");
    keychain("all");
    let helper = |name: &str| Place::Helper(name.to_owned());

    world.write(RUNTIME, r#"{"credHelpers":{"a.io":"own"},"credsStore":"all"}"#);
    let auth = auth(&world);
    assert_eq!(auth.login("a.io", &ada()).unwrap(), helper("own"));
    assert_eq!(world.text(RUNTIME), r#"{"credHelpers":{"a.io":"own"},"credsStore":"all"}"#);
    assert_eq!(auth.lookup("a.io", "x").unwrap(), Some((ada(), helper("own"))));
    assert_eq!(auth.login("b.io", &ada()).unwrap(), helper("all"));
    assert!(world.text(RUNTIME).contains("\"b.io\": {}") && !world.text(RUNTIME).contains(ADA));
    assert_eq!(auth.lookup("b.io", "x").unwrap(), Some((ada(), helper("all"))));

    assert_eq!(auth.logout("b.io").unwrap(), [helper("all"), Place::File(world.path(RUNTIME))]);
    assert_eq!(user(&world, &auth, "b.io", "x"), "-");
    auth.login("b.io", &ada()).unwrap();
    assert_eq!(auth.logout_all().unwrap(), ["a.io", "b.io"]);
    assert_eq!(user(&world, &auth, "a.io", "x"), "-");
    assert_eq!(user(&world, &auth, "b.io", "x"), "-");
    assert!(world.text(RUNTIME).contains("\"own\""), "which helper is for which host is kept");

    // A namespace has no place in a keychain.
    let listed = Auth::new(&world.environment(), None, &["all".into()]);
    assert!(listed.login("a.io/ns", &ada()).is_err());
    assert_eq!(listed.login("l.io", &ada()).unwrap(), helper("all"));
    assert_eq!(listed.logout_all().unwrap(), ["l.io"]);
    assert_eq!(listed.logout_all().unwrap(), [""; 0]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let world = World::new();
    let auth = auth(&world);
    for key in ["", "https://a.io", "a.io/", "a.io//x", "a.io/x:1", "a.io/x@sha256:0", "a io", "a.io\n", "/x"]
    {
        assert!(matches!(auth.login(key, &ada()), Err(Error::Usage(_))), "{key}");
        assert!(matches!(auth.logout(key), Err(Error::Usage(_))), "{key}");
    }
    let colon = Credential::Password { user: "a:b".into(), password: "".into() };
    let err = auth.login("a.io", &colon).unwrap_err();
    assert!(world.words(&err).contains("a user name with `:`"));
    assert_eq!(crate::fs::look(&world.path(RUNTIME)).unwrap().map(|_| ()), None);

    let mut environment = world.environment();
    environment.runtime_dir = Some(world.path("gone"));
    let err = Auth::new(&environment, None, &[]).login("a.io", &ada()).unwrap_err();
    assert_eq!(world.words(&err).matches("$XDG_RUNTIME_DIR W/gone not found").count(), 2);
    // A file that nobody can read is not written over.
    world.write(RUNTIME, "{hush");
    assert!(auth.login("a.io", &ada()).is_err());
    assert_eq!(world.text(RUNTIME), "{hush");
}

#[test]
fn a_password_on_the_command_line_is_for_no_mirror() {
    let world = World::with(&[(PERSON, &one("mirror.io", BOB))]);
    let given = Given { host: "index.docker.io".into(), credential: ada(), otherwise: auth(&world) };
    let user = |host: &str| match given.find(host, "x").unwrap() {
        Some(Credential::Password { user, .. }) => user,
        _ => "-".to_owned(),
    };
    assert_eq!([user("docker.io"), user("mirror.io"), user("other.io")], ["ada", "bob", "-"]);
}
