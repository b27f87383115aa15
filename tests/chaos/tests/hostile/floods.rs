//! Floods of HTTP/2 frames, streams and connections, bounded to seconds: memory stays within a bound and an honest call is
//! answered right after, at the gateway and at a service.

use std::net::SocketAddr;
use std::time::Duration;

use poa_testkit::eventually;
use tonic::Code;

use crate::support::call::{Call, Wire};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Heard, PING, PRIORITY, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, call_block, frame,
};
use crate::support::mesh::{Mesh, inline, offer};

/// The most that a process may grow under one flood, in KiB. The largest is that of 1,000 streams, which may each have
/// sent a part of a message.
const GROWTH_KIB: u64 = 64 * 1_024;
/// A method that anybody may call.
const ANYBODYS: &str = "/poa.auth.v1.AuthService/GetServerInfo";
/// A stream that anybody may open.
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
/// How long a server may take to end what it should.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// How long a flooded server may take for an honest call. It is milliseconds on a machine that does nothing else.
const HONEST_WITHIN: Duration = Duration::from_secs(20);
/// The setting of how much a stream may send before it is told that there is room.
const INITIAL_WINDOW_SIZE: u16 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_cost_their_sender_the_connection_and_nobody_else_anything() {
    let mesh = Mesh::start().await;
    for server in ["gateway", "auth"] {
        let address = mesh.address(server);
        frames_by_hand_make_an_honest_call(address).await;
        let flood = async |what: &str, flood: Flood| {
            let before = mesh.memory();
            flood.run(address).await;
            answers(address).await;
            mesh.memory().expect_growth_below(&before, GROWTH_KIB, &format!("{what} at {server}"));
        };
        flood("SETTINGS", Flood::Settings).await;
        flood("PING", Flood::Ping).await;
        flood("rapid reset", Flood::RapidReset).await;
        flood("empty DATA", Flood::EmptyData).await;
        flood("CONTINUATION", Flood::Continuation).await;
        flood("PRIORITY", Flood::Priority).await;
        flood("small WINDOW_UPDATEs", Flood::WindowUpdates).await;
        wrong_windows_end_the_connection(address).await;
    }
    mesh.expect_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_opened_and_never_finished_leaves_room_for_others() {
    let mesh = Mesh::start().await;
    for server in ["gateway", "auth"] {
        let address = mesh.address(server);
        let before = mesh.memory();
        let mut held = Vec::new();
        // Connections that say nothing, begin a header block, or begin a preface.
        for _ in 0..60 {
            held.push(Raw::silent(address).await);
            let mut slow = Raw::open(address, &[]).await;
            slow.send(&frame(HEADERS, 0, 1, &call_block(ANYBODYS, &[]))).await;
            held.push(slow);
            let mut beginning = Raw::silent(address).await;
            beginning.send(b"PRI * HTTP/2.0\r\n").await;
            held.push(beginning);
        }
        // 1,000 calls without an end, over ten connections, with the beginning of a message each.
        for _ in 0..10 {
            let mut raw = Raw::open(address, &[]).await;
            raw.repeat(100, |number| unfinished(ANYBODYS, stream(number))).await;
            held.push(raw);
        }
        answers(address).await;
        mesh.memory().expect_growth_below(&before, GROWTH_KIB, &format!("unfinished at {server}"));
        let beginning = held.swap_remove(2);
        assert!(
            beginning.hear(ENDS_WITHIN, |_| false).await.closed,
            "the beginning of a preface holds a connection at {server}"
        );
        answers(address).await;
    }
    let gateway = mesh.address("gateway");
    let before = mesh.memory();
    streams_for_anybody_are_bounded(gateway).await;
    mesh.memory().expect_growth_below(&before, GROWTH_KIB, "open reflection streams");
    mesh.expect_unharmed().await;
}

/// 64 answers of 128 KiB that nobody reads fill more than any connection to a service would hold for all its callers
/// together, were it not for a window per stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_does_not_read_its_answers_stalls_nobody_else() {
    const UNREAD: usize = 120;
    let mesh = Mesh::start().await;
    let large = poa_sdk::api::task::CreateTaskRequest {
        input: Some(inline(vec![b'x'; 128 * 1_024])),
        ..offer("a large input", "^x")
    };
    let task = mesh.open_task(large).await;
    let token = format!("Bearer {}", Mesh::token(&mesh.alice).await);
    let message =
        [&[0x0a, u8::try_from(task.task_id.len()).expect("short")], task.task_id.as_bytes()].concat();
    let body = crate::support::call::framed(&message);
    let before = mesh.memory();
    let mut unread = Raw::open(mesh.address("gateway"), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let block = call_block("/poa.task.v1.TaskService/GetTask", &[("authorization", token.as_bytes())]);
    unread
        .repeat(UNREAD, |number| {
            let head = frame(HEADERS, END_HEADERS, stream(number), &block);
            [head, frame(DATA, END_STREAM, stream(number), &body)].concat()
        })
        .await;
    // Another caller, again and again while the answers arrive at the gateway and wait there.
    for _ in 0..50 {
        let answered = tokio::time::timeout(HONEST_WITHIN, mesh.alice.task(&task.task_id)).await;
        answered.expect("an answer in time").expect("an honest call");
    }
    mesh.memory().expect_growth_below(&before, GROWTH_KIB, "unread answers");
    drop(unread);
    mesh.expect_unharmed().await;
}

/// What one connection is flooded with.
#[derive(Clone, Copy, Debug)]
enum Flood {
    Settings,
    Ping,
    RapidReset,
    EmptyData,
    Continuation,
    Priority,
    WindowUpdates,
}

impl Flood {
    /// Sends the flood until it is over or the server stops listening; where a server must refuse it, it does.
    async fn run(self, address: SocketAddr) {
        let mut raw = Raw::open(address, &[]).await;
        let block = call_block(ANYBODYS, &[]);
        let open = frame(HEADERS, END_HEADERS, 1, &block);
        let sent_all = match self {
            Self::Settings => raw.repeat(20_000, |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])).await,
            Self::Ping => raw.repeat(50_000, |_| frame(PING, 0, 0, &[7; 8])).await,
            Self::RapidReset => {
                let reset = |number| {
                    let head = frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &block);
                    [head, frame(RST_STREAM, 0, stream(number), &[0, 0, 0, 8])].concat()
                };
                raw.repeat(20_000, reset).await
            }
            Self::EmptyData => raw.send(&open).await && raw.repeat(50_000, |_| frame(DATA, 0, 1, &[])).await,
            Self::Continuation => {
                let begun = raw.send(&frame(HEADERS, 0, 1, &block)).await;
                let more = call_block("/", &[("x-more", [b'a'; 1_000].as_slice())]);
                begun && raw.repeat(5_000, |_| frame(CONTINUATION, 0, 1, &more)).await
            }
            Self::Priority => {
                raw.repeat(50_000, |number| frame(PRIORITY, 0, stream(number), &[0, 0, 0, 0, 1])).await
            }
            Self::WindowUpdates => {
                raw.send(&open).await
                    && raw.repeat(50_000, |_| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await
            }
        };
        println!("{self:?}: {}", if sent_all { "read to its end" } else { "cut off" });
        if matches!(self, Self::RapidReset | Self::Continuation) {
            let heard = raw.hear(ENDS_WITHIN, Heard::is_refusal).await;
            assert!(!sent_all || heard.is_refusal(), "{self:?} is not refused: {:?}", heard.kinds());
        }
    }
}

/// What is refused below is refused for what it is, and not because the frames are wrong.
async fn frames_by_hand_make_an_honest_call(address: SocketAddr) {
    let mut raw = Raw::open(address, &[]).await;
    let head = frame(HEADERS, END_HEADERS, 1, &call_block(ANYBODYS, &[]));
    raw.send(&[head, frame(DATA, END_STREAM, 1, &[0; 5])].concat()).await;
    let heard = raw.hear(ENDS_WITHIN, |heard| heard.kinds().contains(&DATA)).await;
    let kinds = heard.kinds();
    assert!(!heard.is_refusal() && kinds.contains(&HEADERS) && kinds.contains(&DATA), "{kinds:?}");
}

/// The id of the stream with this number.
fn stream(number: usize) -> u32 {
    u32::try_from(number * 2 + 1).expect("a stream id")
}

/// A call whose message is announced and does not come.
fn unfinished(path: &str, stream: u32) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &call_block(path, &[]));
    [head, frame(DATA, 0, stream, &[0, 0, 0, 0x40, 0, 1, 2, 3])].concat()
}

/// An honest call is answered: at once, or as soon as what one address may have open has ended by itself.
async fn answers(address: SocketAddr) {
    eventually(HONEST_WITHIN, "an honest call is answered", async || {
        let answer = Wire::to(address).call(&Call::to(ANYBODYS)).await;
        assert!(!answer.is_a_bug(), "{answer:?}");
        answer.code == Some(Code::Ok)
    })
    .await;
}

async fn wrong_windows_end_the_connection(address: SocketAddr) {
    let open = frame(HEADERS, END_HEADERS, 1, &call_block(ANYBODYS, &[]));
    for (what, bytes) in [
        ("an update of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("an overflow", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        (
            "an overflow of a stream",
            [open.clone(), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])].concat(),
        ),
        ("an even stream", frame(HEADERS, END_HEADERS, 2, &call_block(ANYBODYS, &[]))),
        ("DATA on no stream", frame(DATA, 0, 0, b"x")),
        ("a frame of 16 MiB", vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]),
        ("SETTINGS of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
        ("a header block that is none", frame(HEADERS, END_HEADERS, 1, &[0xff; 64])),
    ] {
        let mut raw = Raw::open(address, &[]).await;
        raw.send(&bytes).await;
        let heard = raw.hear(ENDS_WITHIN, Heard::is_refusal).await;
        assert!(heard.is_refusal() || heard.closed, "{what}: {:?}", heard.kinds());
    }
}

/// More streams than an address may have open: those beyond it are refused, and when they end there is room again.
async fn streams_for_anybody_are_bounded(gateway: SocketAddr) {
    const EACH: usize = 100;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut raw = Raw::open(gateway, &[]).await;
        raw.repeat(EACH, |number| frame(HEADERS, END_HEADERS, stream(number), &call_block(REFLECTION, &[])))
            .await;
        // One connection after the other, or those with refused streams might take the room of accepted ones with them.
        let answered = |heard: &Heard| heard.kinds().iter().filter(|kind| **kind == HEADERS).count();
        raw.hear(ENDS_WITHIN, |heard| answered(heard) >= EACH).await;
        held.push(raw);
    }
    let call = Call { ends: false, ..Call::to(ANYBODYS) };
    let answer = Wire::to(gateway).attempt(&call).await;
    assert_eq!(answer.reason, "RATE_LIMITED", "an address has so many streams and no more: {answer:?}");
    drop(held);
    answers(gateway).await;
}
