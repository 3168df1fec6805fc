use super::session::Session;
use crate::cli::registries::RegistryArgs;
use crate::cli::secret;
use crate::error::Error;
use crate::error::Result;
use crate::remote::endpoint::Credential;

/// Remember credentials for a registry
///
/// They are tried first, and kept where podman and skopeo keep theirs, or by the credential helper
/// that the file names. A password is never an argument: it is asked for, or read with
/// --password-stdin.
///
/// Example: imgit login -u bob --password-stdin registry.example.com < token
#[derive(clap::Args)]
pub struct Args {
    /// The registry's host, or a repository on it
    #[arg(value_name = "HOST[/REPOSITORY]")]
    registry: String,
    /// Who
    #[arg(short, long)]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Say who is logged in, and nothing else
    #[arg(long)]
    get_login: bool,
    #[command(flatten)]
    registries: RegistryArgs,
}

pub fn run(args: Args, session: &Session) -> Result<u8> {
    let (host, _) = args.registry.split_once('/').unwrap_or((&args.registry, ""));
    let auth = args.registries.auth()?;
    if args.get_login {
        let repository = args.registry.strip_prefix(host).unwrap_or_default().trim_start_matches('/');
        let absent = || Error::not_found("login for", args.registry.clone());
        let (credential, _) = auth.lookup(host, repository)?.ok_or_else(absent)?;
        let mut out = session.output();
        out.line(match &credential {
            Credential::Password { user, .. } => user,
            Credential::IdentityToken(_) => "<token>",
        })?;
        return out.finish().map(|()| 0);
    }
    let user = match args.username {
        Some(user) => user,
        None if args.password_stdin => {
            return Err(Error::Usage("--password-stdin needs --username".into()));
        }
        None => secret::ask_openly("Username: ")?,
    };
    let password = match args.password_stdin {
        true => secret::all_of_stdin()?,
        false => secret::ask("Password: ")?,
    };
    let credential = Credential::Password { user, password };
    args.registries.remote(Some(host))?.login(host, &credential)?;
    let place = auth.login(&args.registry, &credential)?;
    session.console.say(&format!("Logged in to {}; kept in {place}.", args.registry));
    Ok(0)
}
