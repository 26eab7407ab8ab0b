//! What commands say and do, as a person types them.

#[path = "../tests/cert_command.rs"]
mod cert_command;
#[path = "../tests/demo_command.rs"]
mod demo_command;
#[path = "../tests/operator_command.rs"]
mod operator_command;
#[path = "../tests/revoke_command.rs"]
mod revoke_command;
