//! What the machine says of itself and of our processes.

use std::fs::{self, File};
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytchat_proto::timestamp::Timestamp;

use crate::samples::Samples;

/// As much as a commit of one message writes.
const BLOCK: [u8; 8192] = [0x5a; 8192];
const ROUND_TRIPS: usize = 500;

/// A file that is appended to and synced, as a log is.
pub(crate) struct BareDisk(File);

impl BareDisk {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(File::create(dir.join("bare")).expect("a file can be made"))
    }

    /// Appends and syncs once.
    pub(crate) fn sync(&mut self) -> Duration {
        let began = Instant::now();
        self.0.write_all(&BLOCK).expect("the disk has room");
        self.0.sync_data().expect("the disk works");
        began.elapsed()
    }
}

/// Round trips of a small packet between two sockets of this process, over loopback.
pub(crate) fn round_trips() -> Samples {
    let bind = || UdpSocket::bind("127.0.0.1:0").expect("loopback is up");
    let (here, there) = (bind(), bind());
    let address = |socket: &UdpSocket| socket.local_addr().expect("a bound socket has an address");
    let (to, back) = (address(&there), address(&here));
    let echo = thread::spawn(move || {
        let mut packet = [0; 100];
        for _ in 0..ROUND_TRIPS {
            there.recv(&mut packet).expect("loopback loses nothing");
            there.send_to(&packet, back).expect("loopback is up");
        }
    });
    let mut packet = [0; 100];
    let samples = (0..ROUND_TRIPS).map(|_| {
        let began = Instant::now();
        here.send_to(&packet, to).expect("loopback is up");
        here.recv(&mut packet).expect("loopback loses nothing");
        began.elapsed()
    });
    let samples = samples.collect();
    echo.join().expect("an echo does not panic");
    samples
}

/// Memory of a process in MB: everything resident, and what of it is no file.
pub(crate) fn memory_mb(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let mb = |name| kilo(field(&status, name)) * 1.024;
    (mb("VmRSS:"), mb("RssAnon:"))
}

/// Resident memory of a process in KiB.
pub(crate) fn memory_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    field(&status, "VmRSS:")
}

/// What a directory takes on the disk, in MB.
pub(crate) fn disk_mb(dir: &Path) -> f64 {
    let answer = ask("du", &["-sk", &dir.display().to_string()]);
    let kib = answer.split_whitespace().next().and_then(|number| number.parse().ok());
    kilo(kib.unwrap_or_default()) * 1.024
}

/// A thousandth; exact as far as it is shown.
pub(crate) fn kilo(number: u64) -> f64 {
    let whole = u32::try_from(number / 1000).map_or(f64::MAX, f64::from);
    whole + f64::from(u16::try_from(number % 1000).unwrap_or_default()) / 1000.0
}

/// Processor time that a process has used.
pub(crate) fn cpu(pid: u32) -> Duration {
    processor_time(&pid.to_string(), 11)
}

/// Processor time that the processes have used which we waited for, with theirs.
pub(crate) fn children_cpu() -> Duration {
    processor_time("self", 13)
}

fn processor_time(process: &str, field: usize) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let numbers = after.split_whitespace().skip(field).take(2);
    let ticks: u64 = numbers.filter_map(|number| number.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Bytes and packets that loopback has carried, in this network namespace.
pub(crate) fn loopback() -> (u64, u64) {
    let table = fs::read_to_string("/proc/self/net/dev").expect("the kernel counts");
    let line = table.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    let mut numbers = line.unwrap_or_default().split_whitespace().map_while(|n| n.parse().ok());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

/// The machine in one line, without its name.
pub(crate) fn describe(dir: &Path) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal:") / 1024 / 1024;
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let disk = ask("stat", &["-f", "-c", "%T", &dir.display().to_string()]);
    format!(
        "{cores} cores of {model}, {memory} GiB, Linux {}, files on {disk}, load average {load}",
        kernel.trim()
    )
}

/// What a small program answers.
pub(crate) fn ask(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(wall.as_millis()).unwrap_or_default())
}
