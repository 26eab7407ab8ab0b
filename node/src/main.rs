//! `cunlian`: one binary for every tier. See [`cunlian_node::command`].

use std::process::ExitCode;

fn main() -> ExitCode {
    cunlian_node::command::main()
}
