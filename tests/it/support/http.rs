//! A web server whose every answer is a closure of the test: for what no real server does.
//!
//! One request a connection, one thread each. It speaks no TLS: who tries is hung up on.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

pub struct Server {
    /// `127.0.0.1:PORT`
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    accepts: Option<JoinHandle<()>>,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// `GET /v2/`, as tests compare it.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// Where an answer goes.
pub struct Reply(BufReader<TcpStream>);

impl Reply {
    /// A whole answer; `status` is like "200 OK".
    pub fn send(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        all.extend(headers);
        self.head(status, &all);
        self.bytes(body);
    }

    /// Status and headers, as they are.
    pub fn head(&mut self, status: &str, headers: &[(&str, &str)]) {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.bytes((head + "\r\n").as_bytes());
    }

    /// Bytes of a body. That the client has gone away is the test's business.
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Reads `length` bytes of the request's body.
    pub fn read(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        match self.0.read_exact(&mut body) {
            Ok(()) => body,
            Err(_) => Vec::new(),
        }
    }
}

impl Server {
    pub fn start(answer: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped, answer) = (requests.clone(), stop.clone(), Arc::new(answer));
        let accepts = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (log, answer) = (log.clone(), answer.clone());
                let stream = stream.unwrap();
                std::thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Server { address, requests, stop, accepts: Some(accepts) }
    }

    /// The requests so far, in the order they came in.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        let _ = self.accepts.take().unwrap().join();
    }
}

fn serve(stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request, &mut Reply)) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut first = [0];
    // 22 is how TLS says hello.
    if stream.peek(&mut first).is_err() || first == [22] {
        return;
    }
    let mut reply = Reply(BufReader::new(stream));
    let Some(request) = head(&mut reply.0) else { return };
    log.lock().unwrap().push(request.clone());
    answer(&request, &mut reply);
    let stream = reply.0.get_mut();
    let _ = stream.flush();
    let _ = stream.shutdown(Shutdown::Write);
    // What the client still sends is read, or the answer could be lost to a reset.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn head(from: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some(Request { method, target, headers: lines[1..].iter().filter_map(header).collect() })
}

/// Passes connections on to a real server, and breaks those that the test wants broken.
pub struct Proxy {
    pub address: String,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// `is_cut` is told how many bytes the client has sent on a connection so far.
    pub fn start(server: &str, is_cut: impl Fn(usize) -> bool + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cuts = Arc::new(AtomicUsize::new(0));
        let (server, counted, is_cut) = (server.to_owned(), cuts.clone(), Arc::new(is_cut));
        // Lives as long as the test's process; it holds no resource but its port.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut back_from, &mut back_to);
                    let _ = back_to.shutdown(Shutdown::Both);
                });
                let (counted, is_cut) = (counted.clone(), is_cut.clone());
                std::thread::spawn(move || {
                    if forward(&client, &server, &*is_cut) {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                    let _ = client.shutdown(Shutdown::Both);
                    let _ = server.shutdown(Shutdown::Both);
                });
            }
        });
        Proxy { address, cuts }
    }

    /// Connections broken so far.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Says whether it was cut.
fn forward(mut from: &TcpStream, mut to: &TcpStream, is_cut: &dyn Fn(usize) -> bool) -> bool {
    let (mut buf, mut sent) = ([0; 65536], 0);
    loop {
        let n = from.read(&mut buf).unwrap_or(0);
        if n == 0 || to.write_all(&buf[..n]).is_err() {
            return false;
        }
        sent += n;
        if is_cut(sent) {
            return true;
        }
    }
}
