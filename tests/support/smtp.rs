//! A small SMTP server on loopback, without TLS, that can refuse any step: for
//! what a real server cannot be made to do. See `exim` for a real one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

/// Answers in place of the usual ones, by the command's first word (`EHLO`,
/// `MAIL`, `DATA`, `.`) or its whole line in capitals (`RCPT TO:<A@B.C>`). An
/// empty answer never comes.
pub type Script = HashMap<&'static str, &'static str>;

/// The running double and what it took.
#[derive(Clone)]
pub struct FakeSmtp {
    pub address: String,
    mails: Arc<Mutex<Vec<Mail>>>,
}

/// A mail that was taken, as it came over the wire.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    pub recipients: Vec<String>,
    pub text: String,
}

impl FakeSmtp {
    pub async fn start(script: Script) -> FakeSmtp {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, script.clone(), Arc::clone(&taken)));
            }
        });
        FakeSmtp { address, mails }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no test panics while it holds this").clone()
    }
}

/// Ends with the connection, for which an I/O error is one way.
async fn converse(
    stream: TcpStream,
    script: Script,
    taken: Arc<Mutex<Vec<Mail>>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mail = Mail::default();
    say(&mut write, &answer(&script, "GREETING", "220 fake ESMTP")).await?;
    while let Some(line) = lines.next_line().await? {
        let line = line.to_uppercase();
        let word = line.split([' ', ':']).next().unwrap_or_default();
        let usual = match word {
            "EHLO" => "250 fake",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        let said = answer(&script, &line, &answer(&script, word, usual));
        say(&mut write, &said).await?;
        if word == "RCPT" && said.starts_with('2') {
            mail.recipients.push(line);
        } else if word == "DATA" && said.starts_with('3') {
            while let Some(text) = lines.next_line().await?.filter(|line| line != ".") {
                mail.text.push_str(text.strip_prefix('.').unwrap_or(&text));
                mail.text.push_str("\r\n");
            }
            let said = answer(&script, ".", "250 taken");
            if said.starts_with('2') {
                taken
                    .lock()
                    .expect("no test panics while it holds this")
                    .push(std::mem::take(&mut mail));
            }
            say(&mut write, &said).await?;
        }
    }
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, said: &str) -> std::io::Result<()> {
    if said.trim().is_empty() {
        std::future::pending::<()>().await;
    }
    write.write_all(said.as_bytes()).await
}

fn answer(script: &Script, key: &str, usual: &str) -> String {
    format!("{}\r\n", script.get(key).copied().unwrap_or(usual).trim_end())
}
