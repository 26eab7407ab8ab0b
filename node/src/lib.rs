//! The cunlian node: everything that touches the outside world.
//!
//! What it is: the program that runs at every tier: configuration and keys ([`config`],
//! [`keystore`]), the network runtime ([`network`]), pages and HTTP API ([`web`]), and the command
//! line ([`command`]); the demo ([`demo`]) uses them as a person would.
//!
//! What it is not: it decides nothing about permission, reconciliation or the domain; these live
//! in `cunlian-protocol`, `cunlian-crdt` and `cunlian-governance`.
//!
//! Start reading at [`service`], which puts a running node together.

pub mod admin;
pub mod bench;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod demo;
pub mod failure;
pub mod journal;
pub mod keystore;
pub mod metrics;
pub mod network;
pub mod opening;
pub mod operator;
pub mod preset;
pub mod regions;
pub mod restart;
pub mod service;
pub mod standing;
pub mod status;
pub mod text;
pub mod throttle;
pub mod web;
