//! The one place that speaks C: libguestfs, found when it is first asked for.
//!
//! [`Handle`] gives each call that we need as a safe method: names in, owned values out, and the
//! library's last error as an [`Error`]. What each call means is in guestfs(3). Signatures are those
//! of libguestfs 1.44, whose ABI is stable: functions are added and none is changed.
#![allow(unsafe_code, reason = "a C library; each block says why it is sound")]

use crate::attr::Xattr;
use crate::error::Error;
use crate::error::Result;
use crate::path::shown;
use libloading::Library;
use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::Weak;

const LIBRARY: &str = "libguestfs.so.0";

/// Larger answers than this are no names of devices, files or systems.
const TEXT_BYTES_MAX: usize = 1 << 16;

type Raw = *mut c_void;
type Name = *const c_char;
type Text = *mut c_char;
type List = *mut *mut c_char;

unsafe extern "C" {
    fn free(block: *mut c_void);
}

type OnError = unsafe extern "C" fn(Raw, *mut c_void, Name);

macro_rules! calls {
    ($($name:ident($($arg:ty),*) $(-> $answer:ty)?;)*) => {
        struct Calls {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $answer)?,)*
        }

        impl Calls {
            fn load(library: &Library) -> Result<Calls, libloading::Error> {
                // SAFETY: the types are those of guestfs.h, and the library is never unloaded.
                unsafe {
                    Ok(Calls {
                        $($name: *library.get(concat!("guestfs_", stringify!($name)))?,)*
                    })
                }
            }
        }
    };
}

calls! {
    create() -> Raw;
    close(Raw);
    set_error_handler(Raw, Option<OnError>, *mut c_void);
    version(Raw) -> *mut Version;
    free_version(*mut Version);
    get_hv(Raw) -> Text;
    set_hv(Raw, Name) -> c_int;
    set_memsize(Raw, c_int) -> c_int;
    set_backend(Raw, Name) -> c_int;
    set_backend_settings(Raw, *const Name) -> c_int;
    add_drive_opts_argv(Raw, Name, *const AddDrive) -> c_int;
    launch(Raw) -> c_int;
    user_cancel(Raw) -> c_int;
    list_devices(Raw) -> List;
    list_partitions(Raw) -> List;
    list_md_devices(Raw) -> List;
    list_dm_devices(Raw) -> List;
    lvs(Raw) -> List;
    blkid(Raw, Name) -> List;
    blockdev_getsize64(Raw, Name) -> i64;
    mountable_device(Raw, Name) -> Text;
    btrfs_subvolume_get_default(Raw, Name) -> i64;
    btrfs_subvolume_list(Raw, Name) -> *mut StructList<Subvolume>;
    free_btrfssubvolume_list(*mut StructList<Subvolume>);
    cryptsetup_open_argv(Raw, Name, Name, Name, *const CryptsetupOpen) -> c_int;
    lvm_scan(Raw, c_int) -> c_int;
    mount_ro(Raw, Name, Name) -> c_int;
    umount_all(Raw) -> c_int;
    ls(Raw, Name) -> List;
    is_file_opts_argv(Raw, Name, *const FollowLinks) -> c_int;
    filesize(Raw, Name) -> i64;
    read_file(Raw, Name, *mut usize) -> Text;
    tar_out_opts_argv(Raw, Name, Name, *const TarOut) -> c_int;
    find0(Raw, Name, Name) -> c_int;
    lstatnslist(Raw, Name, *const Name) -> *mut StructList<Stat>;
    free_statns_list(*mut StructList<Stat>);
    lgetxattrs(Raw, Name) -> *mut StructList<RawXattr>;
    free_xattr_list(*mut StructList<RawXattr>);
    inspect_os(Raw) -> List;
    inspect_get_type(Raw, Name) -> Text;
    inspect_get_distro(Raw, Name) -> Text;
    inspect_get_product_name(Raw, Name) -> Text;
    inspect_get_major_version(Raw, Name) -> c_int;
    inspect_get_minor_version(Raw, Name) -> c_int;
    inspect_get_arch(Raw, Name) -> Text;
    inspect_get_hostname(Raw, Name) -> Text;
    inspect_get_package_format(Raw, Name) -> Text;
    inspect_get_mountpoints(Raw, Name) -> List;
}

#[repr(C)]
struct Version {
    major: i64,
    minor: i64,
    release: i64,
    extra: Text,
}

#[repr(C)]
struct StructList<T> {
    len: u32,
    val: *mut T,
}

/// Optional arguments count only where their bit is set.
#[repr(C)]
struct AddDrive {
    bitmask: u64,
    readonly: c_int,
    format: Name,
    iface: Name,
    name: Name,
    label: Name,
    protocol: Name,
    server: *const Name,
    username: Name,
    secret: Name,
    cachemode: Name,
    discard: Name,
    copyonread: c_int,
    blocksize: c_int,
}

const FORMAT_AND_CACHEMODE: u64 = 1 << 1 | 1 << 9;

impl Default for AddDrive {
    fn default() -> AddDrive {
        AddDrive {
            bitmask: 0,
            readonly: 0,
            format: null(),
            iface: null(),
            name: null(),
            label: null(),
            protocol: null(),
            server: null(),
            username: null(),
            secret: null(),
            cachemode: null(),
            discard: null(),
            copyonread: 0,
            blocksize: 0,
        }
    }
}

#[repr(C)]
struct CryptsetupOpen {
    bitmask: u64,
    readonly: c_int,
    crypttype: Name,
}

#[repr(C)]
struct FollowLinks {
    bitmask: u64,
    follow: c_int,
}

#[repr(C)]
struct TarOut {
    bitmask: u64,
    compress: Name,
    numericowner: c_int,
    excludes: *const Name,
    xattrs: c_int,
    selinux: c_int,
    acls: c_int,
}

#[repr(C)]
struct Subvolume {
    id: u64,
    top_level_id: u64,
    path: Text,
}

#[repr(C)]
struct RawXattr {
    name: Text,
    value_len: u32,
    value: Text,
}

/// `struct guestfs_statns`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub dev: i64,
    /// -1 where nothing has that name.
    pub ino: i64,
    pub mode: i64,
    pub nlink: i64,
    pub uid: i64,
    pub gid: i64,
    pub rdev: i64,
    pub size: i64,
    pub blksize: i64,
    pub blocks: i64,
    pub atime_sec: i64,
    pub atime_nsec: i64,
    pub mtime_sec: i64,
    pub mtime_nsec: i64,
    pub ctime_sec: i64,
    pub ctime_nsec: i64,
    spare: [i64; 6],
}

/// The library, loaded once and for the life of the process.
fn calls() -> Result<&'static Calls, &'static str> {
    static CALLS: OnceLock<Result<Calls, String>> = OnceLock::new();
    let loaded = CALLS.get_or_init(|| {
        // SAFETY: the initializers of libguestfs and of what it needs touch nothing of ours.
        let library = unsafe { Library::new(LIBRARY) }.map_err(|err| err.to_string())?;
        let calls = Calls::load(&library).map_err(|err| err.to_string())?;
        // The pointers in `calls` live in it, for ever.
        std::mem::forget(library);
        Ok(calls)
    });
    loaded.as_ref().map_err(String::as_str)
}

struct Open {
    raw: Raw,
    calls: &'static Calls,
    /// What the library said since it was last asked: a failure of `launch` has several causes.
    said: Box<Mutex<Vec<String>>>,
}

/// More than these are not kept.
const SAID_MAX: usize = 4;

/// Keeps a message of the library, which it gives from inside the call that fails.
unsafe extern "C" fn on_error(_: Raw, said: *mut c_void, message: Name) {
    // SAFETY: the library gives what `create` told it, a mutex that lives as long as the handle, and
    // a string that is its own until we return.
    let (said, message) = unsafe { (&*said.cast::<Mutex<Vec<String>>>(), text_of(message.cast_mut())) };
    let mut said = said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if said.len() < SAID_MAX {
        // A crash of the appliance is told with a page of advice: the first line says it.
        said.extend(message.iter().filter_map(|message| message.lines().next().map(str::to_owned)));
    }
}

// SAFETY: since libguestfs 1.38 each call locks its handle, so any thread may make it.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: the handle came from `create`, and no one can reach it any more.
        unsafe { (self.calls.close)(self.raw) }
    }
}

pub struct Handle(Arc<Open>);

/// Ends the transfer that another thread waits for in [`Handle::tar_out`] or [`Handle::find`].
pub struct Canceller(Weak<Open>);

impl Canceller {
    pub fn cancel(&self) {
        if let Some(open) = self.0.upgrade() {
            // SAFETY: the handle is open while `open` is held; this call is meant for other threads.
            unsafe { (open.calls.user_cancel)(open.raw) };
        }
    }
}

impl Handle {
    /// Reads the user's `LIBGUESTFS_*` variables; starts nothing.
    pub fn create() -> Result<Handle> {
        let calls = calls().map_err(|problem| Error::NotFound { kind: "library", name: problem.into() })?;
        // SAFETY: takes nothing.
        let raw = unsafe { (calls.create)() };
        if raw.is_null() {
            return Err(Error::invalid("libguestfs", "cannot make a handle"));
        }
        let said = Box::new(Mutex::new(Vec::new()));
        // SAFETY: the mutex stays where it is when its box moves, and is dropped after the handle.
        unsafe { (calls.set_error_handler)(raw, Some(on_error), (&raw const *said).cast_mut().cast()) };
        Ok(Handle(Arc::new(Open { raw, calls, said })))
    }

    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::downgrade(&self.0))
    }

    /// As the library tells it: `1.48.6`, with what a packager added.
    pub fn version(&self) -> Result<String> {
        // SAFETY: the struct is the library's until it is freed, right below.
        unsafe {
            let version = (self.0.calls.version)(self.0.raw);
            if version.is_null() {
                return Err(self.fault("version"));
            }
            let Version { major, minor, release, extra } = &*version;
            let text = format!("{major}.{minor}.{release}{}", text_of(*extra).unwrap_or_default());
            (self.0.calls.free_version)(version);
            Ok(text)
        }
    }

    /// The path of qemu.
    pub fn hv(&self) -> Result<String> {
        // SAFETY: takes the handle alone.
        let text = unsafe { (self.0.calls.get_hv)(self.0.raw) };
        self.text("get_hv", text)
    }

    pub fn set_hv(&self, path: &Path) -> Result<()> {
        self.done1("set_hv", self.0.calls.set_hv, path.as_os_str().as_bytes())
    }

    /// Of the machine, in MiB.
    pub fn set_memsize(&self, mb: i32) -> Result<()> {
        // SAFETY: takes no pointers.
        let code = unsafe { (self.0.calls.set_memsize)(self.0.raw, mb) };
        self.done("set_memsize", code)
    }

    pub fn set_backend(&self, backend: &str) -> Result<()> {
        self.done1("set_backend", self.0.calls.set_backend, backend.as_bytes())
    }

    pub fn set_backend_settings(&self, settings: &[&str]) -> Result<()> {
        let names = Names::new(settings.iter().map(|setting| setting.as_bytes()))?;
        // SAFETY: a list of C strings that ends in null and outlives the call.
        let code = unsafe { (self.0.calls.set_backend_settings)(self.0.raw, names.as_ptr()) };
        self.done("set_backend_settings", code)
    }

    /// Adds a disk that may be written, and forgotten: no write is waited for.
    pub fn add_drive(&self, path: &[u8], format: &str) -> Result<()> {
        let (path, format) = (name_of(path)?, name_of(format.as_bytes())?);
        let options = AddDrive {
            bitmask: FORMAT_AND_CACHEMODE,
            format: format.as_ptr(),
            cachemode: c"unsafe".as_ptr(),
            ..AddDrive::default()
        };
        // SAFETY: strings and struct outlive the call; only the members with a bit set are read.
        let code = unsafe { (self.0.calls.add_drive_opts_argv)(self.0.raw, path.as_ptr(), &options) };
        self.done("add_drive", code)
    }

    pub fn launch(&self) -> Result<()> {
        self.done0("launch", self.0.calls.launch)
    }

    pub fn list_devices(&self) -> Result<Vec<String>> {
        self.list0("list_devices", self.0.calls.list_devices)
    }

    pub fn list_partitions(&self) -> Result<Vec<String>> {
        self.list0("list_partitions", self.0.calls.list_partitions)
    }

    /// Software RAIDs that the appliance has put together.
    pub fn list_md_devices(&self) -> Result<Vec<String>> {
        self.list0("list_md_devices", self.0.calls.list_md_devices)
    }

    /// Opened encrypted devices; no volumes of LVM.
    pub fn list_dm_devices(&self) -> Result<Vec<String>> {
        self.list0("list_dm_devices", self.0.calls.list_dm_devices)
    }

    /// LVM's volumes, `/dev/GROUP/VOLUME`.
    pub fn lvs(&self) -> Result<Vec<String>> {
        self.list0("lvs", self.0.calls.lvs)
    }

    /// What blkid(8) tells of a device in its `export` form: `TYPE`, `LABEL`, `UUID`,
    /// `PART_ENTRY_UUID` … An error where nothing is known.
    pub fn blkid(&self, device: &str) -> Result<Vec<(String, String)>> {
        let device = name_of(device.as_bytes())?;
        // SAFETY: the string outlives the call.
        let list = unsafe { (self.0.calls.blkid)(self.0.raw, device.as_ptr()) };
        self.list("blkid", list).map(pairs)
    }

    /// In bytes.
    pub fn size_of(&self, device: &str) -> Result<u64> {
        let device = name_of(device.as_bytes())?;
        // SAFETY: the string outlives the call.
        let size = unsafe { (self.0.calls.blockdev_getsize64)(self.0.raw, device.as_ptr()) };
        u64::try_from(size).map_err(|_| self.fault("blockdev_getsize64"))
    }

    /// The device under a mountable, which may be a subvolume.
    pub fn device_of(&self, mountable: &str) -> Result<String> {
        self.text1("mountable_device", self.0.calls.mountable_device, mountable)
    }

    pub fn btrfs_default(&self, device: &str) -> Result<u64> {
        let device = name_of(device.as_bytes())?;
        // SAFETY: the string outlives the call.
        let id = unsafe { (self.0.calls.btrfs_subvolume_get_default)(self.0.raw, device.as_ptr()) };
        u64::try_from(id).map_err(|_| self.fault("btrfs_subvolume_get_default"))
    }

    /// Id and path of each subvolume, but for the top level, 5.
    pub fn btrfs_subvolumes(&self, device: &str) -> Result<Vec<(u64, String)>> {
        let device = name_of(device.as_bytes())?;
        // SAFETY: the string outlives the call; the list is the library's until it is freed.
        unsafe {
            let list = (self.0.calls.btrfs_subvolume_list)(self.0.raw, device.as_ptr());
            let found = self.structs("btrfs_subvolume_list", list)?;
            let found = found.iter().map(|one| (one.id, text_of(one.path).unwrap_or_default())).collect();
            (self.0.calls.free_btrfssubvolume_list)(list);
            Ok(found)
        }
    }

    pub fn cryptsetup_open(&self, device: &str, key: &str, map_name: &str) -> Result<()> {
        let device = name_of(device.as_bytes())?;
        let (key, map_name) = (name_of(key.as_bytes())?, name_of(map_name.as_bytes())?);
        let options = CryptsetupOpen { bitmask: 0b1, readonly: 1, crypttype: null() };
        // SAFETY: strings and struct outlive the call.
        let code = unsafe {
            let (device, key, map_name) = (device.as_ptr(), key.as_ptr(), map_name.as_ptr());
            (self.0.calls.cryptsetup_open_argv)(self.0.raw, device, key, map_name, &options)
        };
        self.done("cryptsetup_open", code)
    }

    pub fn lvm_scan(&self) -> Result<()> {
        // SAFETY: takes no pointers.
        let code = unsafe { (self.0.calls.lvm_scan)(self.0.raw, 1) };
        self.done("lvm_scan", code)
    }

    pub fn mount_ro(&self, mountable: &str, at: &str) -> Result<()> {
        let (mountable, at) = (name_of(mountable.as_bytes())?, name_of(at.as_bytes())?);
        // SAFETY: the strings outlive the call.
        let code = unsafe { (self.0.calls.mount_ro)(self.0.raw, mountable.as_ptr(), at.as_ptr()) };
        self.done("mount_ro", code)
    }

    pub fn umount_all(&self) -> Result<()> {
        self.done0("umount_all", self.0.calls.umount_all)
    }

    /// The bytes of a regular file, following links; `None` where there is none or it is larger.
    pub fn read_file(&self, path: &[u8], bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let path = name_of(path)?;
        let options = FollowLinks { bitmask: 0b1, follow: 1 };
        // SAFETY: string and struct outlive the calls.
        let size = unsafe {
            match (self.0.calls.is_file_opts_argv)(self.0.raw, path.as_ptr(), &options) {
                1 => (self.0.calls.filesize)(self.0.raw, path.as_ptr()),
                0 => return Ok(None),
                _ => return Err(self.fault("is_file")),
            }
        };
        if u64::try_from(size).map_err(|_| self.fault("filesize"))? > bytes_max {
            return Ok(None);
        }
        let mut len = 0;
        // SAFETY: the call tells the length of the buffer it gives, which was made by malloc.
        unsafe {
            let buffer = (self.0.calls.read_file)(self.0.raw, path.as_ptr(), &mut len);
            if buffer.is_null() {
                return Err(self.fault("read_file"));
            }
            let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), len).to_vec();
            free(buffer.cast());
            Ok(Some(bytes))
        }
    }

    pub fn ls(&self, folder: &[u8]) -> Result<Vec<String>> {
        let folder = name_of(folder)?;
        // SAFETY: the string outlives the call.
        let list = unsafe { (self.0.calls.ls)(self.0.raw, folder.as_ptr()) };
        self.list("ls", list)
    }

    /// Writes `/` as a tar with numeric owners and all extended attributes to a file of the host.
    ///
    /// The attributes hold ACLs and SELinux labels too, as the kernel's own bytes. `excludes` are
    /// patterns of GNU tar.
    pub fn tar_out(&self, excludes: &[Vec<u8>], to: &str) -> Result<()> {
        let excludes = Names::new(excludes.iter().map(Vec::as_slice))?;
        let to = name_of(to.as_bytes())?;
        let options = TarOut {
            bitmask: 0b1110,
            compress: null(),
            numericowner: 1,
            excludes: excludes.as_ptr(),
            xattrs: 1,
            selinux: 0,
            acls: 0,
        };
        // SAFETY: strings, list and struct outlive the call.
        let code =
            unsafe { (self.0.calls.tar_out_opts_argv)(self.0.raw, c"/".as_ptr(), to.as_ptr(), &options) };
        self.done("tar_out", code)
    }

    /// Writes the paths of all that is under `/`, without it, each with a NUL after it.
    pub fn find(&self, to: &str) -> Result<()> {
        let to = name_of(to.as_bytes())?;
        // SAFETY: the strings outlive the call.
        let code = unsafe { (self.0.calls.find0)(self.0.raw, c"/".as_ptr(), to.as_ptr()) };
        self.done("find0", code)
    }

    /// One answer for each of these names in a folder, in their order.
    pub fn lstat(&self, folder: &[u8], names: &[Vec<u8>]) -> Result<Vec<Stat>> {
        let (folder, list) = (name_of(folder)?, Names::new(names.iter().map(Vec::as_slice))?);
        // SAFETY: string and list outlive the call; the answer is the library's until it is freed.
        let found = unsafe {
            let list = (self.0.calls.lstatnslist)(self.0.raw, folder.as_ptr(), list.as_ptr());
            let found = self.structs("lstatnslist", list)?.to_vec();
            (self.0.calls.free_statns_list)(list);
            found
        };
        if found.len() != names.len() {
            let (asked, told) = (names.len(), found.len());
            return Err(Error::invalid("guestfs lstatnslist", format!("was asked for {asked}, told {told}")));
        }
        Ok(found)
    }

    pub fn xattrs(&self, path: &[u8]) -> Result<Vec<Xattr>> {
        let path = name_of(path)?;
        // SAFETY: the string outlives the call; the list is the library's until it is freed, and each
        // value in it has the length it says.
        unsafe {
            let list = (self.0.calls.lgetxattrs)(self.0.raw, path.as_ptr());
            let found = self.structs("lgetxattrs", list)?;
            let pair = |one: &RawXattr| {
                let value: &[u8] = match one.value_len {
                    0 => &[],
                    len => std::slice::from_raw_parts(one.value.cast(), len as usize),
                };
                (CStr::from_ptr(one.name).to_bytes().into(), value.into())
            };
            let found = found.iter().filter(|one| !one.name.is_null()).map(pair).collect();
            (self.0.calls.free_xattr_list)(list);
            Ok(found)
        }
    }

    /// The devices of the roots; none where no system is found.
    pub fn inspect_os(&self) -> Result<Vec<String>> {
        self.list0("inspect_os", self.0.calls.inspect_os)
    }

    pub fn os_type(&self, root: &str) -> Result<String> {
        self.text1("inspect_get_type", self.0.calls.inspect_get_type, root)
    }

    pub fn os_distro(&self, root: &str) -> Result<String> {
        self.text1("inspect_get_distro", self.0.calls.inspect_get_distro, root)
    }

    pub fn os_product(&self, root: &str) -> Result<String> {
        self.text1("inspect_get_product_name", self.0.calls.inspect_get_product_name, root)
    }

    pub fn os_major(&self, root: &str) -> Result<u32> {
        self.number1("inspect_get_major_version", self.0.calls.inspect_get_major_version, root)
    }

    pub fn os_minor(&self, root: &str) -> Result<u32> {
        self.number1("inspect_get_minor_version", self.0.calls.inspect_get_minor_version, root)
    }

    pub fn os_arch(&self, root: &str) -> Result<String> {
        self.text1("inspect_get_arch", self.0.calls.inspect_get_arch, root)
    }

    pub fn os_hostname(&self, root: &str) -> Result<String> {
        self.text1("inspect_get_hostname", self.0.calls.inspect_get_hostname, root)
    }

    pub fn os_package_format(&self, root: &str) -> Result<String> {
        self.text1("inspect_get_package_format", self.0.calls.inspect_get_package_format, root)
    }

    /// Pairs of mount point and mountable.
    pub fn os_mounts(&self, root: &str) -> Result<Vec<(String, String)>> {
        let root = name_of(root.as_bytes())?;
        // SAFETY: the string outlives the call.
        let list = unsafe { (self.0.calls.inspect_get_mountpoints)(self.0.raw, root.as_ptr()) };
        self.list("inspect_get_mountpoints", list).map(pairs)
    }

    fn done0(&self, call: &str, function: unsafe extern "C" fn(Raw) -> c_int) -> Result<()> {
        // SAFETY: `function` takes the handle alone.
        let code = unsafe { function(self.0.raw) };
        self.done(call, code)
    }

    fn done1(
        &self,
        call: &str,
        function: unsafe extern "C" fn(Raw, Name) -> c_int,
        name: &[u8],
    ) -> Result<()> {
        let name = name_of(name)?;
        // SAFETY: the string outlives the call.
        let code = unsafe { function(self.0.raw, name.as_ptr()) };
        self.done(call, code)
    }

    fn number1(
        &self,
        call: &str,
        function: unsafe extern "C" fn(Raw, Name) -> c_int,
        name: &str,
    ) -> Result<u32> {
        let name = name_of(name.as_bytes())?;
        // SAFETY: the string outlives the call.
        let code = unsafe { function(self.0.raw, name.as_ptr()) };
        u32::try_from(code).map_err(|_| self.fault(call))
    }

    fn text1(
        &self,
        call: &str,
        function: unsafe extern "C" fn(Raw, Name) -> Text,
        name: &str,
    ) -> Result<String> {
        let name = name_of(name.as_bytes())?;
        // SAFETY: the string outlives the call.
        let text = unsafe { function(self.0.raw, name.as_ptr()) };
        self.text(call, text)
    }

    fn list0(&self, call: &str, function: unsafe extern "C" fn(Raw) -> List) -> Result<Vec<String>> {
        // SAFETY: `function` takes the handle alone.
        let list = unsafe { function(self.0.raw) };
        self.list(call, list)
    }

    fn done(&self, call: &str, code: c_int) -> Result<()> {
        if code == 0 { Ok(()) } else { Err(self.fault(call)) }
    }

    /// Takes over a string that a call gave.
    fn text(&self, call: &str, text: Text) -> Result<String> {
        // SAFETY: such a string is the caller's, ends in NUL, and was made by malloc.
        let taken = unsafe {
            let taken = text_of(text);
            free(text.cast());
            taken
        };
        taken.ok_or_else(|| self.fault(call))
    }

    /// Takes over a list that a call gave.
    fn list(&self, call: &str, list: List) -> Result<Vec<String>> {
        if list.is_null() {
            return Err(self.fault(call));
        }
        let mut texts = Vec::new();
        // SAFETY: such a list is the caller's and ends in null; it and its strings were made by malloc.
        unsafe {
            let mut at = list;
            while !(*at).is_null() {
                texts.extend(text_of(*at));
                free((*at).cast());
                at = at.add(1);
            }
            free(list.cast());
        }
        Ok(texts)
    }

    /// The values of a list that a call gave, as long as it is not freed.
    unsafe fn structs<'a, T>(&self, call: &str, list: *mut StructList<T>) -> Result<&'a [T]> {
        if list.is_null() {
            return Err(self.fault(call));
        }
        // SAFETY: the caller has the list from the library and does not free it before the slice.
        unsafe {
            match (*list).len {
                0 => Ok(&[]),
                len => Ok(std::slice::from_raw_parts((*list).val, len as usize)),
            }
        }
    }

    fn fault(&self, call: &str) -> Error {
        let mut said = self.0.said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = said.drain(..).collect::<Vec<_>>().join("; ");
        let text = if text.is_empty() { "failed without a word".to_owned() } else { shown(text.as_bytes()) };
        Error::invalid(format!("guestfs {call}"), text)
    }
}

fn name_of(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::invalid(format!("name `{}`", shown(bytes)), "contains a NUL byte"))
}

/// A copy of a C string, what is not UTF-8 in it replaced.
///
/// # Safety
/// `text` is null, or ends in NUL and stays as it is meanwhile.
unsafe fn text_of(text: Text) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: by this function's own condition.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned())
}

fn pairs(flat: Vec<String>) -> Vec<(String, String)> {
    flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// A list of C strings that ends in null.
struct Names {
    _owned: Vec<CString>,
    pointers: Vec<Name>,
}

impl Names {
    fn new<'a>(names: impl Iterator<Item = &'a [u8]>) -> Result<Names> {
        let owned = names.map(name_of).collect::<Result<Vec<_>>>()?;
        // What a CString points to stays where it is when the CString moves.
        let pointers = owned.iter().map(|name| name.as_ptr()).chain([null_mut::<c_char>().cast_const()]);
        Ok(Names { pointers: pointers.collect(), _owned: owned })
    }

    fn as_ptr(&self) -> *const Name {
        self.pointers.as_ptr()
    }
}
