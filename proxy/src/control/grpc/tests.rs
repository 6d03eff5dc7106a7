//! The client against a server that does exactly what each test tells it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use h2::server::SendResponse;
use http::HeaderMap;
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::proto::Rejection;

const PATH: &str = "/weft.v1.Test/Call";

type Call = (Request<RecvStream>, SendResponse<Bytes>);

fn message(reason: &str) -> Rejection {
    Rejection {
        held: "e1".into(),
        reason: reason.into(),
        ..Rejection::default()
    }
}

fn framed(reason: &str) -> Bytes {
    frame::encode(&message(reason)).unwrap()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async {
        tokio::time::timeout(Duration::from_secs(20), test)
            .await
            .expect("the test ends in time")
    };
    LocalSet::new().block_on(&runtime, test);
}

/// A client's channel and connection, and the server's end of the socket.
async fn connect(keepalive: Keepalive) -> (Channel, impl Future<Output = io::Result<()>>, UnixStream) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("weft-grpc-{}-{}.sock", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let (channel, connection) = Channel::connect_with(&path, keepalive).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    (channel, connection, listener.accept().await.unwrap().0)
}

/// A channel to a server that handles every call with `handler`.
async fn serve<F: Future<Output = ()> + 'static>(handler: impl Fn(Call) -> F + 'static) -> Channel {
    let (channel, connection, socket) = connect(KEEPALIVE).await;
    spawn_local(connection);
    spawn_local(async move {
        let mut server = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok(call)) = server.accept().await {
            spawn_local(handler(call));
        }
    });
    channel
}

fn response(status: u16) -> Response<()> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/grpc+proto")
        .body(())
        .unwrap()
}

fn trailers(code: &'static str, message: &'static str) -> HeaderMap {
    let pairs = [("grpc-status", code), ("grpc-message", message)];
    pairs
        .into_iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

/// Reads the next message of a request.
async fn read(body: &mut RecvStream, buffer: &mut BytesMut) -> Rejection {
    loop {
        if let Some(message) = frame::decode(buffer).unwrap() {
            return message;
        }
        let data = body.data().await.expect("the request goes on").unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        buffer.extend_from_slice(&data);
    }
}

async fn unary(channel: &Channel) -> Result<Rejection, Status> {
    channel.unary(PATH, None, &message("ask")).await
}

/// What a unary call comes to when the server answers with this head, body and trailers.
async fn answered(head: Response<()>, body: &'static [u8], trailers: Option<HeaderMap>) -> Result<Rejection, Status> {
    let head = Rc::new(head);
    let channel = serve(move |(_, mut respond)| {
        let (head, trailers) = (head.clone(), trailers.clone());
        async move {
            let mut response = Response::new(());
            *response.status_mut() = head.status();
            *response.headers_mut() = head.headers().clone();
            let mut stream = respond.send_response(response, body.is_empty() && trailers.is_none()).unwrap();
            if !body.is_empty() {
                stream.send_data(Bytes::from_static(body), trailers.is_none()).unwrap();
            }
            if let Some(trailers) = trailers {
                stream.send_trailers(trailers).unwrap();
            }
        }
    });
    unary(&channel.await).await
}

#[test]
fn a_unary_call_carries_the_request_and_returns_the_answer() {
    run(async {
        let channel = serve(|(request, mut respond)| async move {
            let (head, mut body) = request.into_parts();
            assert_eq!((head.method, head.uri.path()), (Method::POST, PATH));
            assert_eq!(head.headers[TE], "trailers");
            assert_eq!(head.headers[CONTENT_TYPE], "application/grpc+proto");
            assert_eq!(head.headers[AUTHORIZATION], "Bearer secret");
            assert_eq!(head.headers["grpc-timeout"], "10000m");
            let asked = read(&mut body, &mut BytesMut::new()).await;
            let mut stream = respond.send_response(response(200), false).unwrap();
            stream.send_data(framed(&format!("answer to {}", asked.reason)), false).unwrap();
            stream.send_trailers(trailers("0", "")).unwrap();
        });
        let answer: Rejection = channel.await.unary(PATH, Some("secret"), &message("ask")).await.unwrap();
        assert_eq!(answer.reason, "answer to ask");
    });
}

#[test]
fn a_status_in_the_headers_or_in_the_trailers_ends_the_call_with_its_message() {
    run(async {
        let mut only_head = response(200);
        only_head.headers_mut().extend(trailers("5", "no%20such workload"));
        let expected = Status::new(Status::NOT_FOUND, "no such workload");
        assert_eq!(answered(only_head, b"", None).await, Err(expected.clone()));
        assert_eq!(
            answered(response(200), b"", Some(trailers("5", "no%20such workload"))).await,
            Err(expected)
        );
    });
}

#[test]
fn answers_that_are_no_grpc_are_mapped_by_their_http_status() {
    run(async {
        assert_eq!(answered(response(503), b"", None).await.unwrap_err().code, Status::UNAVAILABLE);
        assert_eq!(answered(response(404), b"", None).await.unwrap_err().code, Status::UNIMPLEMENTED);
        let page = Response::builder().header(CONTENT_TYPE, "text/html").body(()).unwrap();
        assert_eq!(answered(page, b"<html>", None).await.unwrap_err().code, Status::UNKNOWN);
    });
}

#[test]
fn a_call_that_ends_wrongly_is_an_internal_error() {
    run(async {
        let well = || Some(trailers("0", ""));
        let code = async |body, trailers| answered(response(200), body, trailers).await.unwrap_err().code;
        assert_eq!(code(b"", None).await, Status::INTERNAL, "no status");
        assert_eq!(code(b"", well()).await, Status::INTERNAL, "no answer");
        assert_eq!(code(b"\0\0\0\0\x09abc", well()).await, Status::INTERNAL, "half a message");
        assert_eq!(code(b"\0\0\0\0\0\0\0\0\0\0", well()).await, Status::INTERNAL, "two answers");
        assert_eq!(code(b"\0\0\0\0\x01\xff", well()).await, Status::INTERNAL, "an unreadable message");
    });
}

#[test]
fn a_stream_sends_its_first_message_before_the_server_says_anything() {
    run(async {
        let channel = serve(|(request, mut respond)| async move {
            let (mut body, mut buffer) = (request.into_body(), BytesMut::new());
            assert_eq!(read(&mut body, &mut buffer).await.reason, "hello");
            let mut stream = respond.send_response(response(200), false).unwrap();
            let reason = read(&mut body, &mut buffer).await.reason;
            stream.send_data(framed(&reason), false).unwrap();
            stream.send_trailers(trailers("0", "")).unwrap();
        });
        let (mut sender, mut receiver) = channel.await.stream::<_, Rejection>(PATH, None, &message("hello")).await.unwrap();
        sender.send(&message("again")).await.unwrap();
        assert_eq!(receiver.message().await.unwrap().unwrap().reason, "again");
        assert_eq!(receiver.message().await, Ok(None));
        assert_eq!(receiver.message().await, Ok(None), "and stays ended");
    });
}

#[test]
fn a_finished_request_ends_and_its_answers_go_on() {
    run(async {
        let channel = serve(|(request, mut respond)| async move {
            let (mut body, mut buffer) = (request.into_body(), BytesMut::new());
            let reason = read(&mut body, &mut buffer).await.reason;
            assert!(body.data().await.is_none_or(|data| data.unwrap().is_empty()) && body.is_end_stream());
            let mut stream = respond.send_response(response(200), false).unwrap();
            for part in ["one", "two"] {
                stream.send_data(framed(&format!("{reason} {part}")), false).unwrap();
            }
            stream.send_trailers(trailers("0", "")).unwrap();
        });
        let (sender, mut receiver) = channel.await.stream::<_, Rejection>(PATH, None, &message("ask")).await.unwrap();
        sender.finish().unwrap();
        assert_eq!(receiver.message().await.unwrap().unwrap().reason, "ask one");
        assert_eq!(receiver.message().await.unwrap().unwrap().reason, "ask two");
        assert_eq!(receiver.message().await, Ok(None));
    });
}

#[test]
fn messages_larger_than_the_windows_pass_both_ways() {
    run(async {
        let channel = serve(|(request, mut respond)| async move {
            let (mut body, mut buffer) = (request.into_body(), BytesMut::new());
            let mut stream = respond.send_response(response(200), false).unwrap();
            for _ in 0..2 {
                let reason = read(&mut body, &mut buffer).await.reason;
                // In two frames, cut inside the prefix of the message.
                let mut answer = framed(&reason);
                stream.send_data(answer.split_to(3), false).unwrap();
                stream.send_data(answer, false).unwrap();
            }
            stream.send_trailers(trailers("0", "")).unwrap();
        });
        let large = message(&"x".repeat(3 * 1024 * 1024));
        let (mut sender, mut receiver) = channel.await.stream::<_, Rejection>(PATH, None, &large).await.unwrap();
        let (sent, first) = tokio::join!(sender.send(&large), receiver.message());
        assert_eq!((sent, first.unwrap().as_ref()), (Ok(()), Some(&large)));
        assert_eq!(receiver.message().await.unwrap(), Some(large));
    });
}

#[test]
fn send_waits_for_the_reader_and_loses_nothing_when_dropped_half_way() {
    run(async {
        let (full, go) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (server_full, server_go) = (full.clone(), go.clone());
        let channel = serve(move |(request, mut respond)| {
            let (full, go) = (server_full.clone(), server_go.clone());
            async move {
                let (mut body, mut buffer) = (request.into_body(), BytesMut::new());
                while buffer.len() < 65_535 {
                    buffer.extend_from_slice(&body.data().await.unwrap().unwrap());
                }
                full.notify_one();
                go.notified().await;
                body.flow_control().release_capacity(buffer.len()).unwrap();
                let mut stream = respond.send_response(response(200), false).unwrap();
                for _ in 0..3 {
                    let reason = read(&mut body, &mut buffer).await.reason;
                    stream.send_data(framed(&reason[..1]), false).unwrap();
                }
                stream.send_trailers(trailers("0", "")).unwrap();
            }
        });
        let (mut sender, mut receiver) = channel.await.stream::<_, Rejection>(PATH, None, &message("a")).await.unwrap();
        let large = message(&"b".repeat(200_000));
        tokio::select! {
            _ = sender.send(&large) => panic!("sent though nobody reads"),
            () = full.notified() => go.notify_one(),
        }
        sender.send(&message("c")).await.unwrap();
        let mut seen = String::new();
        while let Some(message) = receiver.message().await.unwrap() {
            seen += &message.reason;
        }
        assert_eq!(seen, "abc");
    });
}

#[test]
fn a_unary_call_ends_at_its_deadline_and_is_cancelled() {
    run(async {
        let cancelled = Rc::new(Notify::new());
        let server_cancelled = cancelled.clone();
        let channel = serve(move |(_request, mut respond)| {
            let cancelled = server_cancelled.clone();
            async move {
                assert_eq!(poll_fn(|context| respond.poll_reset(context)).await.unwrap(), h2::Reason::CANCEL);
                cancelled.notify_one();
            }
        });
        let call = channel.await;
        let result = call
            .unary_within::<_, Rejection>(Duration::from_millis(30), PATH, None, &message("ask"))
            .await;
        assert_eq!(result.unwrap_err().code, Status::DEADLINE_EXCEEDED);
        cancelled.notified().await;
    });
}

#[test]
fn dropping_both_halves_of_a_stream_cancels_it() {
    run(async {
        let (opened, cancelled) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (server_opened, server_cancelled) = (opened.clone(), cancelled.clone());
        let channel = serve(move |(_request, mut respond)| {
            let (opened, cancelled) = (server_opened.clone(), server_cancelled.clone());
            async move {
                opened.notify_one();
                assert_eq!(poll_fn(|context| respond.poll_reset(context)).await.unwrap(), h2::Reason::CANCEL);
                cancelled.notify_one();
            }
        });
        let halves = channel.await.stream::<_, Rejection>(PATH, None, &message("hello")).await.unwrap();
        opened.notified().await;
        drop(halves);
        cancelled.notified().await;
    });
}

#[test]
fn a_lost_connection_ends_its_calls_as_unavailable() {
    run(async {
        let (channel, connection, socket) = connect(KEEPALIVE).await;
        let connection = spawn_local(connection);
        let (mut sender, mut receiver) = channel.stream::<_, Rejection>(PATH, None, &message("hello")).await.unwrap();
        drop(socket);
        let lost = receiver.message().await.unwrap_err();
        assert_eq!(lost.code, Status::UNAVAILABLE);
        assert_eq!(receiver.message().await.unwrap_err(), lost, "the error stays");
        assert!(sender.send(&message("more")).await.is_err());
        assert_eq!(unary(&channel).await.unwrap_err().code, Status::UNAVAILABLE);
        assert!(connection.await.unwrap().is_err());
    });
}

#[test]
fn a_hung_controller_is_noticed_by_an_unanswered_ping() {
    run(async {
        let keepalive = Keepalive {
            interval: Duration::from_millis(10),
            timeout: Duration::from_millis(10),
        };
        let (channel, connection, _socket) = connect(keepalive).await;
        let connection = spawn_local(connection);
        let (_sender, mut receiver) = channel.stream::<_, Rejection>(PATH, None, &message("hello")).await.unwrap();
        assert_eq!(receiver.message().await.unwrap_err().code, Status::UNAVAILABLE);
        assert_eq!(connection.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_controller_that_answers_pings_is_kept() {
    run(async {
        let keepalive = Keepalive {
            interval: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
        };
        let (channel, connection, socket) = connect(keepalive).await;
        let connection = spawn_local(connection);
        let mut server = h2::server::handshake(socket).await.unwrap();
        let ticks = Cell::new(0);
        let mut timer = tokio::time::interval(Duration::from_millis(5));
        while ticks.get() < 20 {
            tokio::select! {
                _ = server.accept() => panic!("nobody calls"),
                _ = timer.tick() => ticks.set(ticks.get() + 1),
            }
        }
        assert!(!connection.is_finished());
        drop(channel);
        // The answer to a last ping may meet a closed socket: how the server's side ends says nothing of the client's.
        let _ = poll_fn(|context| server.poll_closed(context)).await;
        connection.await.unwrap().unwrap();
    });
}

#[test]
fn a_credential_that_no_header_can_carry_is_refused() {
    run(async {
        let (channel, _connection, _socket) = connect(KEEPALIVE).await;
        let result: Result<Rejection, _> = channel.unary(PATH, Some("two\nlines"), &message("ask")).await;
        assert_eq!(result.unwrap_err().code, Status::UNAUTHENTICATED);
    });
}
