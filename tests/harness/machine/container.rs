//! One machine: its changes to the image, its container, its commands.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Image;
use crate::daemon::{PATIENCE, Ran, until};

/// Lines of the journal that a failure shows.
const JOURNAL_LINES: &str = "80";
/// What root, and users, have in their path.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The mount is one of this process and its children, so that it cannot outlive them; and two
/// machines must not share a cgroup.
const START: &str = r#"
image=$1 own=$2; shift 2
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done
shift
mount -t overlay machine -o "lowerdir=$image,upperdir=$own/changes,workdir=$own/work" "$own/root"
exec systemd-nspawn --quiet --boot --register=no --keep-unit --link-journal=no \
    --console=pipe --directory="$own/root" "$@"
"#;

/// A machine; it does not outlive this value, nor the thread that booted it.
#[derive(Debug)]
pub struct Machine {
    image: Image,
    own: PathBuf,
    groups: Vec<PathBuf>,
    network: Option<Pid>,
    container: Option<Child>,
    /// The first process in it.
    init: Option<Pid>,
}

/// Where images and machines are: beside what is built.
pub(super) fn folder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    // A test lies in <target>/<profile>/deps.
    own.ancestors().nth(3).unwrap().join("machine")
}

impl Machine {
    /// A machine that is not booted yet, with a network of its own that leads nowhere.
    ///
    /// # Panics
    /// If it cannot have its folder and its cgroup.
    pub fn new(image: &Image) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bytchat-{}-{number}", std::process::id());
        sweep();
        let own = folder().join(&name);
        for part in ["changes", "work", "root"] {
            fs::create_dir_all(own.join(part)).unwrap();
        }
        let groups: Vec<_> = groups().iter().map(|group| group.join(&name)).collect();
        for group in &groups {
            fs::create_dir(group).unwrap();
        }
        let image = image.clone();
        Self { image, own, groups, network: None, container: None, init: None }
    }

    /// The same in the network of another machine, which must be running.
    ///
    /// # Panics
    /// If that does not run.
    pub fn beside(image: &Image, other: &Self) -> Self {
        let mut machine = Self::new(image);
        machine.network = Some(other.init.unwrap());
        machine
    }

    /// Boots it and waits until that is done.
    ///
    /// # Panics
    /// If it does not boot.
    pub fn boot(&mut self) {
        let network = match self.network {
            Some(other) => format!("--network-namespace-path=/proc/{other}/ns/net"),
            None => "--private-network".to_owned(),
        };
        let console = fs::File::options().create(true).append(true).open(self.own.join("console"));
        let console = console.unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "sh", "-euc", START, "start"])
            .arg(self.image.root())
            .arg(&self.own)
            .args(&self.groups)
            .args(["--", &network])
            .arg(format!("--machine={}", self.own.file_name().unwrap().display()))
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console);
        let child = command.spawn().unwrap();
        let id = child.id();
        self.container = Some(child);
        self.init = Some(until("the first process of a machine", || self.first_process(id)));
        until("the end of the boot", || {
            let state = self.run(&["systemctl", "is-system-running"]).out;
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        let failed = self.run(&["systemctl", "--failed", "--plain", "--no-legend"]).out;
        assert!(failed.is_empty(), "units that failed at boot: {failed}");
    }

    fn first_process(&mut self, container: u32) -> Option<Pid> {
        let ended = self.container.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", self.console());
        let children = format!("/proc/{container}/task/{container}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let pid: i32 = children.split_whitespace().next()?.parse().ok()?;
        // Before that it is a copy of nspawn which still prepares.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "systemd").then(|| Pid::from_raw(pid).unwrap())
    }

    /// Shuts it down in good order; what was written stays for the next boot.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub fn shut_down(&mut self) {
        self.run(&["systemctl", "poweroff", "--no-block"]);
        let mut child = self.container.take().unwrap();
        until("the end of a machine", || child.try_wait().unwrap());
        self.init = None;
    }

    /// Shuts it down and boots it again.
    pub fn reboot(&mut self) {
        self.shut_down();
        self.boot();
    }

    /// Runs a command in it as root, to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_reading(args, b"")
    }

    /// The same with something on stdin.
    pub fn run_reading(&self, args: &[&str], stdin: &[u8]) -> Ran {
        Ran::of(self.command().args(args), stdin)
    }

    /// Runs a command in it as one of its users, in the groups that the user has now.
    pub fn run_as(&self, user: &str, args: &[&str]) -> Ran {
        Ran::of(self.command_as(user).args(args), b"")
    }

    /// A command as one of its users, still to be named and run.
    ///
    /// # Panics
    /// If there is no such user.
    pub fn command_as(&self, user: &str) -> Command {
        let id = self.run(&["id", "-u", user]);
        assert_eq!(id.code, 0, "{}", id.err);
        let runtime = format!("XDG_RUNTIME_DIR=/run/user/{}", id.out.trim());
        let mut command = self.command();
        command.args(["runuser", "-u", user, "--", "env", &runtime]);
        command.arg(format!("HOME=/home/{user}"));
        command
    }

    /// A command in it, still to be named and run.
    ///
    /// # Panics
    /// If it does not run.
    pub fn command(&self) -> Command {
        let init = self.init.unwrap();
        let mut command = Command::new("nsenter");
        command.env_clear().args(["--target", &init.to_string(), "--all", "--wdns=/"]).args([
            "env",
            "-i",
            PATH,
            "LANG=C.UTF-8",
        ]);
        command
    }

    /// Where a path of the machine is, seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        let inside = inside.trim_start_matches('/');
        match self.init {
            Some(init) => PathBuf::from(format!("/proc/{init}/root")).join(inside),
            None => self.own.join("changes").join(inside),
        }
    }

    /// Puts a file of this machine into that one, for all to read, and to run if it is a program.
    ///
    /// # Panics
    /// If it cannot be put there.
    pub fn put(&self, file: &Path, inside: &str) {
        let target = self.place(inside);
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o111 | 0o644;
        fs::copy(file, &target).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(mode)).unwrap();
    }

    /// Writes a file that all can read.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, inside: &str, text: &str) {
        let target = self.place(inside);
        fs::write(&target, text).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
    }

    /// A path whose folder exists and which is free.
    fn place(&self, inside: &str) -> PathBuf {
        let target = self.path(inside);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match fs::remove_file(&target) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{inside}: {error}"),
            Ok(()) | Err(_) => target,
        }
    }

    /// Makes a user with a home, in these groups.
    ///
    /// # Panics
    /// If that fails.
    pub fn add_user(&self, name: &str, groups: &[&str]) {
        let groups = groups.join(",");
        self.run(&["useradd", "--create-home", "--groups", &groups, name]).ok();
    }

    /// A property of a unit, as `systemctl show` gives it.
    pub fn show(&self, unit: &str, property: &str) -> String {
        let shown = self.run(&["systemctl", "show", "--value", "--property", property, unit]);
        shown.ok().trim().to_owned()
    }

    /// Waits until a property of a unit is so.
    ///
    /// # Panics
    /// If it is not in time.
    pub fn becomes(&self, unit: &str, property: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(&format!("{property} of {unit}"), || {
            Some(self.show(unit, property)).filter(|value| wanted(value))
        })
    }

    /// The end of the journal of a unit.
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-n", JOURNAL_LINES, "-u", unit]).out
    }

    /// What it said on its console.
    pub fn console(&self) -> String {
        fs::read_to_string(self.own.join("console")).unwrap_or_default()
    }

    fn tell_the_end(&self) {
        let end = ["journalctl", "--no-pager", "-n", JOURNAL_LINES, "-o", "short-monotonic"];
        let journal = match self.init {
            Some(_) => self.run(&end).out,
            None => String::new(),
        };
        println!("{}\n{journal}\n{}", self.own.display(), self.console());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_the_end();
        }
        if let Some(mut container) = self.container.take() {
            let killed = self.init.take().map(|init| kill_process(init, Signal::KILL));
            if killed.is_none_or(|killed| killed.is_err()) {
                drop(container.kill());
            }
            drop(container.wait());
        }
        remove(&self.own, &self.groups);
    }
}

/// Removes what machines of test programs left that were killed.
fn sweep() {
    let Ok(entries) = fs::read_dir(folder()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("bytchat-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let groups: Vec<_> = groups().iter().map(|group| group.join(&name)).collect();
            remove(&entry.path(), &groups);
        }
    }
}

fn remove(own: &Path, groups: &[PathBuf]) {
    for group in groups {
        remove_group(group);
    }
    // Several sweep at once, so that what is gone is no failure.
    drop(fs::remove_dir_all(own));
}

/// Removes a cgroup from its leaves; what still runs there is about to end.
fn remove_group(group: &Path) {
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_group(&entry.path());
    }
    let end = PATIENCE.min(Duration::from_secs(5));
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(10);
    while waited < end
        && fs::remove_dir(group).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy)
    {
        crate::daemon::pause(step);
        waited += step;
    }
}

/// The cgroups of this process that systemd would use: of the first version the named one, of
/// the second the only one.
fn groups() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    let groups = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kind, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let mounts: &[&str] = match kind {
            "name=systemd" => &["/sys/fs/cgroup/systemd"],
            "" => &["/sys/fs/cgroup/unified", "/sys/fs/cgroup"],
            _ => return None,
        };
        let mut mounts = mounts.iter().map(Path::new);
        mounts.find(|mount| mount.join("cgroup.procs").exists()).map(|mount| mount.join(path))
    });
    groups.collect()
}
