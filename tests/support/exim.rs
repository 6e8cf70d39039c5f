//! A real SMTP server, exim, on loopback: STARTTLS by an authority of its own,
//! a login, and a Maildir. Tests that need it are skipped where it is not installed.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const USER: &str = "postwatch";
/// Needs percent-encoding in a URL.
pub const PASSWORD: &str = "p@ss/word+1";

/// The running server; it ends when this is dropped.
pub struct Exim {
    pub port: u16,
    folder: TempDir,
    child: Child,
}

impl Exim {
    /// None, with a printed line, where exim4 or openssl is not on PATH.
    pub fn start() -> Option<Exim> {
        let exim = on_path("exim4")?;
        let openssl = on_path("openssl")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        // exim leaves root's rights behind and must still write in here.
        open_to_all(folder.path(), 0o777);
        certificates(&openssl, folder.path());
        let port = free_port();
        let config = folder.path().join("exim.conf");
        fs::write(&config, configuration(folder.path(), port)).expect("the folder is ours");
        let child = Command::new(exim)
            .arg("-C")
            .arg(&config)
            .args(["-bdf", "-q1m"])
            .stdout(Stdio::null())
            // It says for each mail that it gave up root's rights.
            .stderr(Stdio::null())
            .spawn()
            .expect("exim4 can be executed");
        let server = Exim { port, folder, child };
        server.wait_for("it listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(server)
    }

    /// `ca=` for the URL.
    pub fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// The mails of the Maildir, once there are `count`.
    pub fn mails(&self, count: usize) -> Vec<String> {
        self.wait_for("the mails arrive", || {
            let entries = fs::read_dir(self.folder.path().join("mail/new")).ok()?;
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            let read = |file: &PathBuf| fs::read_to_string(file).ok();
            (files.len() >= count).then(|| files.iter().filter_map(read).collect())
        })
    }

    /// The mails whose only recipient is `to`, in the order in which they were taken.
    pub fn mails_to(&self, to: &str) -> Vec<String> {
        let files = fs::read_dir(self.folder.path().join("mail/new"));
        let files = files.into_iter().flatten().flatten();
        let mails = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        let line = format!("\nTo: {to}\n");
        let mut mails: Vec<String> = mails.filter(|mail| mail.contains(&line)).collect();
        let log = fs::read_to_string(self.folder.path().join("log-main")).unwrap_or_default();
        mails.sort_by_cached_key(|mail| log.find(&format!(" {} <= ", exims_own_id(mail))));
        mails
    }

    /// Refuses every login, or takes them again.
    pub fn refuse_logins(&self, refuses: bool) {
        let file = self.folder.path().join("refuse");
        match refuses {
            true => fs::write(file, "").expect("the folder is ours"),
            false => fs::remove_file(file).expect("it is there"),
        }
    }

    /// exim tells nobody when it is ready: asking again is the only way.
    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = look() {
                return found;
            }
            let log = fs::read_to_string(self.folder.path().join("log-main")).unwrap_or_default();
            assert!(Instant::now() < deadline, "exim: waited in vain until {what}\n{log}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        // It may have ended by itself; the test is over in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By which its log names the mail.
fn exims_own_id(mail: &str) -> &str {
    let id = mail.split("\n\tid ").nth(1).unwrap_or_default();
    id.split(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default()
}

/// A TLS server with a certificate that nobody vouches for.
pub struct TlsServer {
    pub port: u16,
    _folder: TempDir,
    child: Child,
}

impl TlsServer {
    /// None, with a printed line, where openssl is not on PATH.
    pub fn start() -> Option<TlsServer> {
        let openssl = on_path("openssl")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        certificates(&openssl, folder.path());
        let port = free_port();
        let child = Command::new(openssl)
            .args(["s_server", "-www", "-cert", "cert.pem", "-key", "key.pem"])
            .args(["-accept", &port.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl can be executed");
        let server = TlsServer { port, _folder: folder, child };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "openssl does not listen");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Some(server)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        // It may have ended by itself; the test is over in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// None, with a printed line, where it is not installed.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let found = folders.iter().map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {program} is not on PATH");
    }
    found
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is free");
    listener.local_addr().expect("it is bound").port()
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

fn certificates(openssl: &Path, folder: &Path) {
    let config = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=localhost\n\
        [authority]\nbasicConstraints=critical,CA:TRUE\n\
        [server]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n";
    fs::write(folder.join("openssl.cnf"), config).expect("the folder is ours");
    let new = "req -x509 -config openssl.cnf -newkey rsa:2048 -nodes -days 2";
    let steps = [
        format!("{new} -extensions authority -subj /CN=authority -keyout ca.key -out ca.pem"),
        format!("{new} -extensions server -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem"),
    ];
    for step in steps {
        let done = Command::new(openssl).args(step.split(' ')).current_dir(folder).output();
        let done = done.expect("openssl can be executed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    open_to_all(&folder.join("key.pem"), 0o644);
}

fn configuration(folder: &Path, port: u16) -> String {
    let dir = folder.display();
    format!(
        r#"
primary_hostname = localhost
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = {dir}/spool
log_file_path = {dir}/log-%s
pid_file_path = {dir}/exim.pid
tls_advertise_hosts = *
tls_certificate = {dir}/cert.pem
tls_privatekey = {dir}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = recipients
begin acl
recipients:
  deny !authenticated = *
  deny local_parts = gone
  accept
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = {dir}/mail
  maildir_format
  user = Debian-exim
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{!exists{{{dir}/refuse}}}}{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"#
    )
}
