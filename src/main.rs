//! The `imgit` program: everything it does is in the library; see `imgit::cli`.

fn main() -> std::process::ExitCode {
    imgit::cli::main()
}
