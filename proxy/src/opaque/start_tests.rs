use proptest::prelude::*;

use super::*;

fn passes(bytes: &[u8]) -> bool {
    let mut start = Start::default();
    start.passes(bytes) && start.passes_end()
}

const CLAIM: &str = "\r\nHost: x\r\nWeft-Client-Id: me\r\n\r\n";

#[test]
fn requests_that_some_server_takes_do_not_pass_as_bytes() {
    let far = " ".repeat(10_000);
    let long = format!("GET /{} HTTP/1.1", "a".repeat(300_000));
    let long_method = format!("{} / HTTP/1.1", "G".repeat(9_000));
    let empty_lines = format!("{}GET / HTTP/1.1", "\r\n".repeat(9_000));
    let blanks = format!("GET /{far}HTTP/1.1");
    for line in [
        "GET / HTTP/1.1",
        "\r\n\r\nGET / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET  /  HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "GET\r/\rHTTP/1.1",
        "GET ?x HTTP/1.1",
        "AVERYLONGMETHODTHATNOBODYEVERHEARDOF / HTTP/1.0",
        "GET /?\x01 HTTP/1.1",
        "GET /?\0 HTTP/1.1",
        "GET /?\x7f HTTP/1.1",
        "GET /?\u{a0} HTTP/1.1",
        "GET\u{a0}/\u{3000}HTTP/1.1",
        "\x01GET / HTTP/1.1",
        "\0GET / HTTP/1.1",
        "\x16\x03\x01\x02\0\x01GET / HTTP/1.1",
        "G(E)T / HTTP/1.1",
        "G\0T / HTTP/1.1",
        "get / HTTP/1.1",
        "get / http/1.1",
        "GET / Http/1.1",
        "GET /\x0bhttp/1.1",
        "GET /\u{3000}http/1.1",
        "\x16\x03 /\nx HTTP/1.1",
        "hello\r\n\r\nPOST / HTTP/1.1",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET / HTTP/1.1",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET / http/1.1",
        "PRI * HTTP/2.0\r\n\r\nSM",
        &long,
        &long_method,
        &empty_lines,
        &blanks,
    ] {
        assert!(!passes(format!("{line}{CLAIM}").as_bytes()), "{:.80?}", line);
        assert!(!passes(line.as_bytes()), "{:.80?}, without an end", line);
    }
}

#[test]
fn http_0_9_does_not_pass_as_bytes() {
    for request in [
        "GET /",
        "GET /\n",
        "GET /\r\n",
        "GET /x \r\n",
        "\r\n GET /x\r\n",
        "GET\t/x\r\n",
        "GET\r/x\n",
        "GET\u{b}/x\n",
        "\x01GET /x\r\n",
        "(GET) /x\r\n",
        "GET /x\ty\r\n",
        "GET http://users/\r\n",
        "GET /x\rWeft-Client-Id: me\r\n",
        "GET /x FTP\r\n",
        "PROXY UNKNOWN\r\nGET /x\r\n",
        // Python's servers take any target.
        "GET key\r\nHost: x\r\n",
        "GET key\nHost: x\n",
        "GET key\rHost: x\r",
        "GET key\r\n{}: x\r\n",
        "GET key\r\n: x\r\n",
        "GET key\r\n folded\r\nHost: x\r\n",
        "GET key\r\nFrom me\r\nHost: x\r\n",
        "GET SPAMC/1.5\r\nHost: x\r\n",
        "POST key\r\nHost: x\r\n",
    ] {
        assert!(!passes(request.as_bytes()), "{request:?}");
    }
    let many = "x: y\r\n".repeat(20_000);
    for line in ["GET /", "get key", "get /key", "G\x01t /key", "SPAMC SPAMC/1.5"] {
        let request = format!("{line}\r\n{many}Weft.Client_id: me\r\n\r\n");
        assert!(!passes(request.as_bytes()), "{line:?} with more than 64 KiB of fields");
    }
}

#[test]
fn a_binary_proxy_header_does_not_hide_a_request() {
    let header = |body: usize| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
        header.extend((body as u16).to_be_bytes());
        header.extend(vec![b'\n'; body]);
        header
    };
    for body in [0, 12, 65_535] {
        for request in ["GET / HTTP/1.1\r\n", "GET / http/1.1\r\n", "GET /\r\n"] {
            for headers in 1..3 {
                let mut bytes = header(body).repeat(headers);
                assert!(passes(&bytes));
                bytes.extend(request.as_bytes());
                assert!(!passes(&bytes), "{request:?} behind {headers} of {body} bytes");
            }
        }
        assert!(passes(&[&header(body), &b"\x16\x03\x01"[..]].concat()));
    }
}

#[test]
fn the_name_of_the_callers_field_does_not_pass_in_any_spelling() {
    for name in ["weft-client-id", "Weft_Client_ID", "WEFT.CLIENT.ID", "weft!client~id"] {
        assert!(!passes(format!("anything\0{name}").as_bytes()), "{name}");
    }
    for other in ["weft-client-i", "weftclientid", "weft--client-id", "wweft-client"] {
        assert!(passes(other.as_bytes()), "{other}");
    }
}

/// What begins conversations of programs that are no servers of HTTP.
const OTHERS: &[&str] = &[
    "",
    "hello",
    "ruok",
    "*1\r\n$4\r\nPING\r\n",
    "*3\r\n$3\r\nSET\r\n$5\r\n/key1\r\n$8\r\nhttp/1.1\r\n",
    "PING\r\nPING\r\n",
    "SET key value\r\nSET user:1 x\r\n",
    "GET key\r\nGET other:1\r\n\r\n",
    "KEYS *\r\n",
    "AUTH secret\r\nGET key\r\n",
    "get /page?a=b\r\nget /other\r\n",
    "gets a b c\r\nset key:1 0 0 5\r\nfoo: \r\n",
    "set k 0 0 17\r\nfoo: bar http/1.1\r\n",
    "EHLO localhost\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
    "OPTIONS rtsp://host/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "DESCRIBE /a RTSP/1.0\r\nUser-Agent: okhttp/4\r\n\r\n",
    "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9\r\n\r\n",
    "REGISTER sip:example.com SIP/2.0\r\nUser-Agent: x-http/1\r\n\r\n",
    "SOURCE /live.mp3 ICE/1.0\r\ncontent-type: audio/mpeg\r\n\r\n",
    "PROCESS SPAMC/1.5\r\nContent-length: 3\r\n\r\n",
    "MSRP a786hjs2 SEND\r\nTo-Path: msrp://biloxi.example.com:12763/kjhd37s2s20w2a;tcp\r\n",
    "SSH-2.0-OpenSSH_10.0 Debian-1\r\n\0\0\x04\x1c\x0a\x14",
    "\x10\x1a\0\x04MQTT\x04\x02\0\x3c\0\x0eokhttp/client1",
    "\0\0\0\x08\x04\u{d2}\x16\x2f",
    "\0\0\0\x29\0\x03\0\0user\0me\0database\0/http/1\0\0",
    "\0\0\0\x2a\0\x12\0\x03\0\0\0\x01\0\x07adminclient\x12apache-kafka-java\x063.7.0\0",
    "AMQP\0\0\x09\x01",
    "STOMP\naccept-version:1.2\nhost:x\n\n\0",
    "CONNECT {\"verbose\":false}\r\nPING\r\nPUB a 8\r\nfoo: bar\r\n",
    "NICK bob\r\nUSER bob 0 * :Bob\r\n",
    "<?xml version='1.0'?>\n<stream:stream to='x' xmlns='http://etherx.jabber.org/streams'>",
    "{\"id\": 1, \"ua\": \"okhttp/4.9\"}\n{\"id\": 2}\n",
    "{\"id\": 1}\n{\"id\": 2}\n",
    "Content-Length: 2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n{}",
    "<34>Oct 11 22:14:15 host app: org/apache/http/client\n<34>Oct 11 22:14:16 host app: x\n",
    "a.b.c 42 1700000000\na.b.d 1 1700000000\n",
    "0033git-upload-pack /project.git\0host=example.com\0",
    "@RSYNCD: 31.0 sha512 md5\nmodule\n",
    "JRMI\0\x02K\0\x0forg.apache.http/x",
    "8=FIX.4.2\x019=65\x0135=A\x0149=SERVER\x01",
    "stats\r\n",
    "/path\tquery\r\n",
    "\x05\x01\0",
];

#[test]
fn other_protocols_pass() {
    for bytes in OTHERS {
        // Their bytes, not their UTF-8.
        let bytes: Vec<u8> = bytes.chars().map(|letter| letter as u8).collect();
        assert!(passes(&bytes), "{}", bytes.escape_ascii());
    }
    let late = format!("line\n{}GET / HTTP/1.1\r\n", "line\n".repeat(2_000));
    assert!(passes(late.as_bytes()), "a line that is no request, and 8 KiB");
}

/// A ClientHello that offers HTTP/2 and HTTP/1.1, as browsers send it: only its random parts differ.
fn client_hello(random: &[u8]) -> Vec<u8> {
    let alpn = b"\0\x10\0\x0e\0\x0c\x02h2\x08http/1.1";
    let (random, keys) = random.split_at(64);
    let mut hello = vec![3, 3];
    hello.extend(&random[..32]);
    hello.push(32);
    hello.extend(&random[32..]);
    hello.extend(b"\0\x06\x13\x01\x13\x02\x13\x03\x01\0");
    let mut extensions = b"\0\0\0\x0a\0\x08\0\0\x05users".to_vec();
    extensions.extend(alpn);
    extensions.extend(b"\0\x33");
    extensions.extend((keys.len() as u16 + 4).to_be_bytes());
    extensions.extend(b"\x11\xec");
    extensions.extend((keys.len() as u16).to_be_bytes());
    extensions.extend(keys);
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    record
}

/// Bytes that come near to what is looked for.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "(PROXY x\r\n){0,2}[\r\n \x01]{0,3}[A-Za-z]{1,5}[ \t]{1,2}[/a-zA-Z]{1,4}[ ]{0,2}(HTTP/1.1|http/|HTT|RTSP/1|x)?[\r]?\n?([a-z-]{0,9}: x[\r]?\n){0,2}([\r]?\n)?(weft[-_.]client-id: y)?"
            .prop_map(String::into_bytes),
        prop::sample::select(OTHERS).prop_map(|text| text.chars().map(|letter| letter as u8).collect()),
        (0u8..20, prop::sample::select(OTHERS)).prop_map(|(body, text)| {
            let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec();
            bytes.push(body);
            bytes.extend(vec![b' '; usize::from(body)]);
            bytes.extend(text.bytes());
            bytes
        }),
    ]
}

proptest! {
    #[test]
    fn the_verdict_does_not_depend_on_how_the_bytes_come(bytes in bytes(), cuts in prop::collection::vec(0usize..96, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut start = Start::default();
        let mut from = 0;
        let whole = cuts.into_iter().all(|to| start.passes(&bytes[std::mem::replace(&mut from, to)..to])) && start.passes_end();
        prop_assert_eq!(whole, passes(&bytes));
    }

    #[test]
    fn what_was_refused_stays_refused_whatever_stands_before_within_8_kib(
        before in prop::collection::vec(any::<u8>(), 0..200),
        lines in prop::collection::vec("[ -~]{0,40}[\r]?\n", 0..100),
    ) {
        let mut bytes = before;
        bytes.extend(lines.concat().bytes());
        bytes.extend(b"GET / HTTP/1.1\r\n\r\n");
        prop_assert!(!passes(&bytes));
    }

    #[test]
    fn tls_passes_whatever_its_random_parts(random in prop::collection::vec(any::<u8>(), 64..1280)) {
        prop_assert!(passes(&client_hello(&random)));
    }
}
