//! Trees of files: made with everything that a file system has, and compared with all that stat(2) knows.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, FileTimes},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ring::digest::{Context, SHA256};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// Everything about one name, but for what a restore cannot set (inode, ctime).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub mode: u32,
    pub mtime: (i64, i64),
    /// Hash of a file, target of a link.
    pub content: String,
    pub size: u64,
}

pub type Tree = BTreeMap<PathBuf, About>;

/// All that lies in `root`, itself included.
pub fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        let (mut content, mut size) = (String::new(), 0);
        if about.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if about.is_symlink() {
            content = fs::read_link(&path).unwrap().display().to_string();
        } else if about.is_file() {
            (content, size) = (hash(&path), about.len());
        }
        let mtime = (about.mtime(), about.mtime_nsec());
        let name = path.strip_prefix(root).unwrap().to_owned();
        tree.insert(name, About { mode: about.mode(), mtime, content, size });
    }
    tree
}

fn hash(path: &Path) -> String {
    let (mut file, mut hash, mut chunk) =
        (File::open(path).unwrap(), Context::new(&SHA256), vec![0; 1 << 20]);
    loop {
        match file.read(&mut chunk).unwrap() {
            0 => return hex::encode(hash.finish()),
            length => hash.update(&chunk[..length]),
        }
    }
}

/// Fails with the names that differ.
#[track_caller]
pub fn assert_same(found: &Tree, expected: &Tree) {
    let names: std::collections::BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differ: Vec<_> = names
        .into_iter()
        .filter(|name| found.get(*name) != expected.get(*name))
        .map(|name| (name, found.get(name), expected.get(name)))
        .collect();
    assert!(differ.is_empty(), "{} differ, for example {:#?}", differ.len(), &differ[..differ.len().min(3)]);
}

/// Bytes that do not compress.
pub fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A tree with everything. `big` is the length of its largest file.
pub fn plant(root: &Path, big: usize) {
    let write = |name: &str, content: &[u8]| {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), content).unwrap();
    };
    write("server.properties", b"motd=hello\n");
    write("world/level.dat", &noise(10_000, 1));
    write("world/region/r.0.0.mca", &noise(600_000, 2));
    write("empty", b"");
    write("big.bin", &noise(big, 3));
    write(&format!("{}/{}", "d".repeat(200), "n".repeat(250)), b"long names");
    write("a/b/c/d/e/f/g/h/i/j/deep", b"deep");
    fs::create_dir(root.join("empty folder")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff\xfe")), "bytes").unwrap();
    symlink("world/level.dat", root.join("link")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    symlink(format!("/{}", "t".repeat(300)), root.join("far")).unwrap();
    fs::hard_link(root.join("world/level.dat"), root.join("hard")).unwrap();
    let mut sparse = File::create(root.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(40 << 20)).unwrap();
    sparse.write_all(b"in the middle").unwrap();
    sparse.set_len(64 << 20).unwrap();
    write("closed/inside", b"x");
    for (name, mode) in
        [("server.properties", 0o600), ("world/level.dat", 0o751), ("empty", 0), ("closed", 0o555)]
    {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o750)).unwrap();
    let time = |seconds, nanoseconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    for (name, at) in [
        ("empty", SystemTime::UNIX_EPOCH - Duration::new(1_000, 250_000_000)),
        ("big.bin", time(1_500_000_000, 123_456_789)),
        ("world/region", time(1_600_000_000, 1)),
        ("empty folder", time(0, 0)),
        ("", time(1_400_000_000, 999_999_999)),
    ] {
        let open = File::open(root.join(name)).unwrap();
        open.set_times(FileTimes::new().set_modified(at)).unwrap();
    }
    let past = Timespec { tv_sec: 1_300_000_000, tv_nsec: 42 };
    let times = Timestamps { last_access: past, last_modification: past };
    utimensat(CWD, root.join("dangling"), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Something else, of which nothing may survive a restore.
pub fn damage(root: &Path) {
    fs::write(root.join("server.properties"), "motd=broken\n").unwrap();
    fs::remove_dir_all(root.join("world")).unwrap();
    fs::write(root.join("world"), "a file now").unwrap();
    fs::remove_file(root.join("link")).unwrap();
    fs::write(root.join("new"), "x").unwrap();
}
