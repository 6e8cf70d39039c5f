//! Power cuts: a file system on a disk whose cache is lost with the power. What
//! was acknowledged before the cut must be there after it.

use std::process::{Child, Stdio};

use super::*;

/// Deliveries in each commit.
const EACH: u64 = 40;

/// A disk that keeps what it was told to flush, and forgets the rest when its
/// process is killed.
struct Disk {
    place: TempDir,
    nbdfuse: Child,
}

impl Disk {
    /// The disk with what `image` holds, mounted.
    fn plug(place: TempDir) -> Disk {
        let folder = |name: &str| place.path().join(name);
        let nbdfuse = Command::new("nbdfuse")
            .arg(folder("fuse/disk"))
            .args(["[", "nbdkit", "--exit-with-parent", "--filter=cache", "file"])
            .arg(folder("image"))
            .args(["cache=writeback", "]"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it was found on the PATH");
        let until = Instant::now() + Duration::from_secs(20);
        while !folder("fuse/disk").exists() {
            assert!(Instant::now() < until, "nbdfuse shows no disk");
            std::thread::sleep(Duration::from_millis(10));
        }
        mount(&folder("fuse/disk"), &folder("mounted"));
        Disk { place, nbdfuse }
    }

    /// The cable is pulled: whatever the disk's cache held is gone.
    fn cut(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.nbdfuse.id());
        let nbdkit = fs::read_to_string(children).expect("nbdfuse runs");
        run(Command::new("kill").arg("-9").args(nbdkit.split_whitespace()));
    }

    /// Mends the file system as a machine does when it starts, and mounts it again.
    fn start_again(mut self) -> TempDir {
        let folder = |name: &str| self.place.path().join(name);
        run(Command::new("umount").arg("-l").arg(folder("mounted")));
        self.nbdfuse.kill().ok();
        self.nbdfuse.wait().ok();
        Command::new("umount").arg("-l").arg(folder("fuse")).stderr(Stdio::null()).status().ok();
        let mended = Command::new("e2fsck").arg("-fy").arg(folder("image")).output();
        let mended = mended.expect("it was found on the PATH");
        assert!(mended.status.code().is_some_and(|code| code < 4), "{mended:?}");
        mount(&folder("image"), &folder("mounted"));
        self.place
    }
}

fn mount(disk: &Path, place: &Path) {
    run(Command::new("mount").args(["-o", "loop"]).arg(disk).arg(place));
}

fn run(command: &mut Command) {
    let ran = command.output().expect("it was found on the PATH");
    assert!(ran.status.success(), "{command:?}: {ran:?}");
}

/// A folder with an empty file system in an image; `None` where this machine has
/// no such disks.
fn blank() -> Option<TempDir> {
    let place = TempDir::new().expect("a temporary folder");
    for name in ["fuse", "mounted"] {
        fs::create_dir(place.path().join(name)).expect("the folder is ours");
    }
    let image = place.path().join("image");
    File::create(&image).and_then(|file| file.set_len(96 << 20)).expect("there is room");
    let is_there = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let tools = ["nbdkit", "nbdfuse", "mkfs.ext4"].into_iter().all(is_there);
    if !tools || !Path::new("/dev/fuse").exists() {
        println!("skipped: power cuts need nbdkit, nbdfuse, e2fsprogs and /dev/fuse");
        return None;
    }
    run(Command::new("mkfs.ext4").arg("-q").arg(&image));
    let mut mount = Command::new("mount");
    let probed = mount.args(["-o", "loop"]).arg(&image).arg(place.path().join("mounted")).output();
    if !probed.is_ok_and(|probed| probed.status.success()) {
        println!("skipped: power cuts need the right to mount a loop device");
        return None;
    }
    run(Command::new("umount").arg(place.path().join("mounted")));
    Some(place)
}

/// Commits until the disk is gone; the last commit that was acknowledged.
fn commit_until_the_end(folder: &Path, snapshots_every: u64) -> u64 {
    let Ok(mut store) = SledStore::open(folder) else { return 0 };
    if loaded(&mut store).is_err() {
        return 0;
    }
    let mut last = 0;
    while store.commit(&changes(last + 1, EACH)).is_ok() {
        last += 1;
        if last.is_multiple_of(snapshots_every) {
            store.snapshot(SPAN).ok();
            store.copied = None;
        }
    }
    last
}

/// `CUTS` says how many.
#[test]
fn nothing_that_was_acknowledged_is_lost_with_the_power() {
    let cuts = std::env::var("CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(3);
    let mut chance = fastrand::Rng::with_seed(11);
    let (mut acknowledged, mut ahead) = (0, 0);
    for cut in 1..=cuts {
        let Some(place) = blank() else { return };
        let disk = Disk::plug(place);
        let folder = disk.place.path().join("mounted/data");
        let writer = std::thread::spawn(move || commit_until_the_end(&folder, 20));
        std::thread::sleep(Duration::from_millis(chance.u64(100..1_500)));
        disk.cut();
        let last = writer.join().expect("a lost disk is no reason to panic");
        let place = disk.start_again();
        let folder = place.path().join("mounted/data");
        let found = SledStore::open(&folder).and_then(|mut store| loaded(&mut store));
        let (commit, all) = found.unwrap_or_else(|error| panic!("cut {cut}: {error}"));
        assert!(commit >= last, "cut {cut}: commit {last} was acknowledged, {commit} is there");
        let entries = all.iter().filter(|one| one.starts_with("Entry")).count() as u64;
        assert_eq!(entries, commit * EACH, "cut {cut}: every commit is whole");
        acknowledged += last;
        ahead += commit - last;
        run(Command::new("umount").arg(place.path().join("mounted")));
    }
    println!("{cuts} power cuts: {acknowledged} commits acknowledged, 0 lost, {ahead} more found");
    assert!(acknowledged > 0, "nothing was ever committed");
}
