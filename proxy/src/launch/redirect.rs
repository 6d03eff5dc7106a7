//! The rules that bring the program's DNS questions and TCP connections to its sidecar: one nftables chain, put in place at once.
//!
//! As `nft` would print it:
//! ```text
//! table inet weft {
//!   chain output {
//!     type nat hook output priority -100;
//!     meta mark 0x77 return
//!     udp dport 53 redirect to :65053
//!     tcp dport 53 redirect to :65053
//!     meta l4proto tcp redirect to :65001
//!   }
//! }
//! ```

use crate::launch::netlink::{ACK, APPEND, CREATE, Message};

/// The mark of sockets that pass the redirection: those by which the sidecar reaches the program.
pub const MARK: u32 = 0x77;

const TABLE: &[u8] = b"weft\0";
const CHAIN: &[u8] = b"output\0";
const STEP: &str = "add the redirection rules";

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = NFTABLES << 8;
const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const NEW_RULE: u16 = NFTABLES << 8 | 6;
const INET: u8 = 1;
const HOOK_OUTPUT: u32 = 3;
const PRIORITY: i32 = -100;
const VERDICT_RETURN: i32 = -5;
const REGISTER_1: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
const META_MARK: u32 = 3;
const META_L4PROTO: u32 = 16;
const TRANSPORT_HEADER: u32 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS: u16 = 53;
const PROTO_SPECIFIED: u32 = 2;

/// The transaction that creates the table: DNS goes to port `dns`, every other TCP connection to port `outbound`, both on the loopback.
pub fn transaction(outbound: u16, dns: u16) -> Vec<Message> {
    let attributes = |message: Message| message.attribute(1, TABLE);
    vec![
        Message::new(STEP, BATCH_BEGIN, 0).fixed(&generic(0, NFTABLES)),
        attributes(Message::new(STEP, NEW_TABLE, ACK | CREATE).fixed(&generic(INET, 0))),
        attributes(Message::new(STEP, NEW_CHAIN, ACK | CREATE).fixed(&generic(INET, 0)))
            .attribute(3, CHAIN)
            .nested(4, |hook| {
                hook.attribute(1, &HOOK_OUTPUT.to_be_bytes()).attribute(2, &PRIORITY.to_be_bytes())
            })
            .attribute(7, b"nat\0"),
        rule(|rule| returning(marked(rule))),
        rule(|rule| redirecting(to_port(protocol(rule, UDP), DNS), dns)),
        rule(|rule| redirecting(to_port(protocol(rule, TCP), DNS), dns)),
        rule(|rule| redirecting(protocol(rule, TCP), outbound)),
        Message::new(STEP, BATCH_END, 0).fixed(&generic(0, NFTABLES)),
    ]
}

/// `struct nfgenmsg`.
fn generic(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn rule(expressions: impl FnOnce(Message) -> Message) -> Message {
    Message::new(STEP, NEW_RULE, ACK | CREATE | APPEND)
        .fixed(&generic(INET, 0))
        .attribute(1, TABLE)
        .attribute(2, CHAIN)
        .nested(4, expressions)
}

fn expression(rule: Message, name: &[u8], arguments: impl FnOnce(Message) -> Message) -> Message {
    rule.nested(1, |element| element.attribute(1, name).nested(2, arguments))
}

fn meta(rule: Message, key: u32) -> Message {
    expression(rule, b"meta\0", |e| {
        e.attribute(1, &REGISTER_1.to_be_bytes()).attribute(2, &key.to_be_bytes())
    })
}

fn equals(rule: Message, value: &[u8]) -> Message {
    expression(rule, b"cmp\0", |e| {
        e.attribute(1, &REGISTER_1.to_be_bytes())
            .attribute(2, &0u32.to_be_bytes())
            .nested(3, |data| data.attribute(1, value))
    })
}

fn marked(rule: Message) -> Message {
    equals(meta(rule, META_MARK), &MARK.to_ne_bytes())
}

fn protocol(rule: Message, number: u8) -> Message {
    equals(meta(rule, META_L4PROTO), &[number])
}

fn to_port(rule: Message, port: u16) -> Message {
    let loaded = expression(rule, b"payload\0", |e| {
        e.attribute(1, &REGISTER_1.to_be_bytes())
            .attribute(2, &TRANSPORT_HEADER.to_be_bytes())
            .attribute(3, &2u32.to_be_bytes())
            .attribute(4, &2u32.to_be_bytes())
    });
    equals(loaded, &port.to_be_bytes())
}

fn redirecting(rule: Message, port: u16) -> Message {
    let loaded = expression(rule, b"immediate\0", |e| {
        e.attribute(1, &REGISTER_1.to_be_bytes())
            .nested(2, |data| data.attribute(1, &port.to_be_bytes()))
    });
    expression(loaded, b"redir\0", |e| {
        e.attribute(1, &REGISTER_1.to_be_bytes())
            .attribute(3, &PROTO_SPECIFIED.to_be_bytes())
    })
}

fn returning(rule: Message) -> Message {
    expression(rule, b"immediate\0", |e| {
        e.attribute(1, &REGISTER_VERDICT.to_be_bytes()).nested(2, |data| {
            data.nested(2, |verdict| verdict.attribute(1, &VERDICT_RETURN.to_be_bytes()))
        })
    })
}
