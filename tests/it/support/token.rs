//! A token server, as registries name one in their challenge: it signs what `docker-registry` believes.
//!
//! Anyone may pull from `public/…`; [`USER`] may do everything, by password or by [`IDENTITY`].

use super::http::Reply;
use super::http::Request;
use super::http::Server;
use super::registry::Certificates;
use super::registry::Options;
use super::registry::PASSWORD;
use super::registry::Registry;
use super::registry::USER;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// The identity token of [`USER`].
pub const IDENTITY: &str = "who I am&always=was";

/// A registry and the token server it names.
pub struct Guarded {
    pub registry: Registry,
    pub tokens: Server,
}

impl Guarded {
    /// Tokens live for five minutes.
    pub fn start() -> Guarded {
        Guarded::with_life(|_| 300)
    }

    /// `life` says in how many seconds the n-th token expires, from 0; clients are told 300 all the same.
    pub fn with_life(life: impl Fn(u64) -> i64 + Send + Sync + 'static) -> Guarded {
        let key = Certificates::make_self_signed();
        let certificate = key.path("server.crt");
        let issued = AtomicU64::new(0);
        let tokens = Server::start(move |request, reply| {
            answer(request, reply, &key, &|| life(issued.fetch_add(1, Ordering::Relaxed)));
        });
        let realm = format!("http://{}/token", tokens.address);
        let options = Options { token: Some((realm, certificate)), ..Options::default() };
        Guarded { registry: Registry::with(options), tokens }
    }
}

fn answer(request: &Request, reply: &mut Reply, key: &Certificates, life: &dyn Fn() -> i64) {
    let form = match request.method.as_str() {
        "POST" => {
            let length = request.header("content-length").unwrap().parse().unwrap();
            String::from_utf8(reply.read(length)).unwrap()
        }
        _ => request.target.split_once('?').map_or("", |(_, query)| query).to_owned(),
    };
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let password = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let user = match (field("refresh_token"), request.header("authorization")) {
        (None, None) => "",
        (Some(IDENTITY), None) if field("grant_type") == Some("refresh_token") => USER,
        (None, Some(said)) if said == password => USER,
        _ => {
            reply.send("401 Unauthorized", &[], br#"{"details":"incorrect username or password"}"#);
            return;
        }
    };
    assert_eq!(field("service"), Some("tests"));
    let scopes = fields.iter().filter(|(name, _)| name == "scope");
    let scopes = scopes.flat_map(|(_, scope)| scope.split(' ')).filter(|scope| !scope.is_empty());
    let access: Vec<Value> = scopes.filter_map(|scope| allowed(scope, user)).collect();
    let token = token(key, user, &access, life());
    let name = if request.method == "POST" { "access_token" } else { "token" };
    reply.send("200 OK", &[], json!({ name: token, "expires_in": 300 }).to_string().as_bytes());
}

fn allowed(scope: &str, user: &str) -> Option<Value> {
    let (rest, actions) = scope.rsplit_once(':')?;
    let (kind, name) = rest.split_once(':')?;
    let may = |action: &&str| user == USER || (name.starts_with("public/") && *action == "pull");
    let actions: Vec<&str> = actions.split(',').filter(may).collect();
    (!actions.is_empty()).then(|| json!({ "type": kind, "name": name, "actions": actions }))
}

fn token(key: &Certificates, user: &str, access: &[Value], life: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let pem = fs::read_to_string(key.path("server.crt")).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] });
    let claims = json!({
        "iss": "tests", "sub": user, "aud": "tests", "jti": format!("{now}"),
        "iat": now - 200, "nbf": now - 200, "exp": now + life, "access": access,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature(&key.path("server.key"), &text)))
}

fn signature(key: &PathBuf, text: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let signed =
        Command::new("openssl").args(["dgst", "-sha256", "-sign"]).arg(key).arg(file.path()).output();
    let signed = signed.unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    signed.stdout
}
