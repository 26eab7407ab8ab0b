//! `cunlian bench identity`.

use clap::Args;

use super::{Form, print_machine, progress_bar};
use crate::bench::identity::chain::Chain;
use crate::bench::identity::joins::Joins;
use crate::bench::identity::revocation::Revocation;
use crate::bench::identity::{self, Report};
use crate::failure::Outcome;

/// Arguments of `bench identity`.
#[derive(Debug, Args)]
pub(super) struct Identity {
    /// Machines that join
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    joins: u32,
    /// Changes by the person whose work is revoked
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    changes: u32,
    #[command(flatten)]
    form: Form,
}

impl Identity {
    pub(super) fn run(self) -> Outcome {
        let (joins, changes) = (usize::try_from(self.joins)?, usize::try_from(self.changes)?);
        let bar = progress_bar();
        let report = identity::run(&identity::Options { joins, changes }, |stage, done, total| {
            bar.set_message(match stage {
                identity::Stage::Chain => "checking chains",
                identity::Stage::Joins => "joining",
                identity::Stage::Revocation => "revoking",
            });
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        self.form.print(&report?, print)
    }
}

fn print(report: &Report) {
    print_machine(report.version, &report.machine);
    print_chain(&report.chain);
    print_joins(&report.joins);
    print_revocation(&report.revocation);
}

fn print_chain(chain: &Chain) {
    println!(
        "chain of {} certificates, {} bytes: {:.1} µs from its bytes, {:.2} µs when it is known",
        chain.certificates, chain.bytes, chain.fresh_us, chain.known_us
    );
    println!(
        "  limit {:.1} µs (signatures alone): share {:.0} %",
        chain.limit_us,
        100.0 * chain.limit_share
    );
    println!(
        "  per message: {:.3} µs whether it may, {:.3} µs whether it is in force",
        chain.may_us, chain.valid_us
    );
}

fn print_joins(joins: &Joins) {
    let Joins { nodes, at_once, invite_seconds, seconds, per_second, limit, .. } = joins;
    println!(
        "{nodes} machines joined in {seconds:.2} s, {per_second:.0} per second, {at_once} at a time; {invite_seconds:.2} s of it for the invitations"
    );
    println!(
        "  limit {:.2} s (files {:.2}, rows {:.2}, signatures {:.2}): share {:.0} %",
        limit.seconds,
        limit.file_seconds,
        limit.row_seconds,
        limit.signature_seconds,
        100.0 * joins.limit_share
    );
}

fn print_revocation(revocation: &Revocation) {
    let Revocation { changes, documents, seconds, preview_seconds, limit, .. } = revocation;
    println!(
        "{changes} changes in {documents} documents revoked in {seconds:.2} s, foretold in {preview_seconds:.2} s"
    );
    println!(
        "  {} stay marked, {} are gone, {} by a colleague stand",
        revocation.tainted, revocation.removed, revocation.kept
    );
    println!(
        "  limit {:.2} s on one core (documents {:.2}, rows {:.2}): share {:.0} %",
        limit.seconds,
        limit.document_seconds,
        limit.row_seconds,
        100.0 * revocation.limit_share
    );
}
