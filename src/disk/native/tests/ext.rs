//! ext2, ext3 and ext4, made by mke2fs and debugfs.

use super::listing;
use super::native_lines;
use super::run;
use std::path::Path;

/// Compares with the kernel, by a loop mount: `IMAGE=x.img cargo test -- --ignored as_the_kernel`.
#[test]
#[ignore = "mounts $IMAGE: root, and a kernel with loop devices"]
fn an_image_reads_as_the_kernel_shows_it() {
    let image = std::env::var("IMAGE").unwrap();
    let folder = crate::fs::temp_dir().unwrap();
    let at = folder.path().display().to_string();
    let lines = native_lines(Path::new(&image));
    // A copy: the kernel replays the journal of one that was not unmounted.
    let copy = format!("{at}.img");
    run("cp", &["--sparse=always", &image, &copy]);
    run("mount", &["-o", "loop,noatime", &copy, &at]);
    let expected = std::panic::catch_unwind(|| listing::of_folder(folder.path()));
    run("umount", &[&at]);
    crate::fs::remove_file(Path::new(&copy)).unwrap();
    listing::assert_same(&lines, &expected.unwrap(), &image);
}
