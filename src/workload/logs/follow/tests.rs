//! Logs that are cut off. An API server on loopback sends prepared responses.

use std::collections::VecDeque;

use kube::{Client, Config};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// The response of the API server to one request for a log.
enum LogResponse {
    /// These bytes, as the whole log.
    Whole(&'static str),
    /// These bytes; then the connection breaks.
    CutOff(&'static str),
    /// 400, as for a container that never ran.
    Refused,
}

/// Sends the responses, one for each request. Returns the request lines.
async fn api_server(listener: TcpListener, mut answers: VecDeque<LogResponse>) -> Vec<String> {
    let mut asked = Vec::new();
    while let Some(answer) = answers.pop_front() {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(connection.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        asked.push(request.split_whitespace().nth(1).unwrap().split_once('?').unwrap().1.to_owned());
        let (status, length, text) = match answer {
            LogResponse::Whole(text) => ("200 OK", text.len(), text),
            LogResponse::CutOff(text) => ("200 OK", text.len() + 100, text),
            LogResponse::Refused => ("400 Bad Request", 0, ""),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        connection.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
    }
    asked
}

/// A client of an HTTP server. With an authority of its own it does not look for those of the machine, which a build sandbox
/// does not have.
fn client(address: &str) -> Client {
    let authority = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.root_cert = Some(vec![authority.cert.der().to_vec()]);
    Client::try_from(config).unwrap()
}

/// The lines that a reader passes on, and its requests. When all `answers` are used up, the pod is deleted.
async fn read(first: LogParams, running: bool, answers: Vec<LogResponse>) -> (Vec<String>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = client(&address.to_string());
    let (container, receiver) = watch::channel(Container { id: "a".into(), running, deleted: false });
    let (sender, mut lines) = mpsc::channel(WAITING);
    let reader = LogReader {
        api: Api::namespaced(client, "evenkeel"),
        log: Log { pod: "p".into(), ..Log::default() },
        first,
        container: receiver,
        lines: sender,
        position: None,
        rest: None,
    };
    let reader = tokio::spawn(reader.run());
    let asked = api_server(listener, answers.into()).await;
    container.send_modify(|container| container.deleted = true);
    reader.await.unwrap();
    let mut read = Vec::new();
    while let Some(line) = lines.recv().await {
        read.push(line.text);
    }
    (read, asked)
}

fn following() -> LogParams {
    LogParams { follow: true, timestamps: true, ..LogParams::default() }
}

#[tokio::test]
async fn a_log_that_was_cut_off_goes_on_where_it_was() {
    let answers = vec![
        // Two lines with one time, a second apart from the third; the fourth has no end.
        LogResponse::CutOff(
            "2026-01-01T00:00:01.1Z a\n2026-01-01T00:00:02.7Z b\n2026-01-01T00:00:02.7Z c\n2026-01-01T00:00:02.8Z cut",
        ),
        LogResponse::Refused,
        LogResponse::Whole(
            "2026-01-01T00:00:02.7Z b\n2026-01-01T00:00:02.7Z c\n2026-01-01T00:00:02.7Z d\n\
             2026-01-01T00:00:02.8Z cut no more\n2026-01-01T00:00:02.75Z e\n",
        ),
    ];
    let (lines, asked) = read(following(), true, answers).await;
    assert_eq!(lines, ["a", "b", "c", "d", "cut no more", "e"]);
    assert_eq!(asked[0], "&follow=true&timestamps=true");
    assert_eq!(asked[1], "&previous=true&sinceTime=2026-01-01T00%3A00%3A02Z&timestamps=true");
    assert_eq!(asked[2], "&follow=true&sinceTime=2026-01-01T00%3A00%3A02Z&timestamps=true");
}

#[tokio::test]
async fn a_container_that_was_restarted_meanwhile_loses_no_line() {
    let answers = vec![
        LogResponse::CutOff("2026-01-01T00:00:01Z a\n"),
        LogResponse::Whole("2026-01-01T00:00:01Z a\n2026-01-01T00:00:02Z last words"),
        LogResponse::Whole("an error of the kubelet"),
        LogResponse::Whole("2026-01-01T00:00:02Z last words"),
        LogResponse::Whole("2026-01-01T00:00:03Z begin\n"),
    ];
    let (lines, _) = read(following(), true, answers).await;
    assert_eq!(lines, ["a", "last words", "begin"]);
}

#[tokio::test]
async fn a_line_without_an_end_is_handed_on_when_the_container_has_ended() {
    let (lines, _) =
        read(following(), false, vec![LogResponse::Whole("2026-01-01T00:00:01Z a\n2026-01-01T00:00:02Z b")]).await;
    assert_eq!(lines, ["a", "b"]);
}

#[tokio::test]
async fn without_old_lines_the_log_goes_on_from_when_it_was_opened() {
    let first = LogParams { tail_lines: Some(0), ..following() };
    let answers = vec![
        LogResponse::Refused,
        LogResponse::CutOff(""),
        LogResponse::Refused,
        LogResponse::Whole("2026-01-01T00:00:01Z old\n2126-01-01T00:00:01Z new\n"),
    ];
    let (lines, asked) = read(first, true, answers).await;
    assert_eq!(lines, ["new"]);
    assert!(asked[0].contains("tailLines=0") && asked[1].contains("tailLines=0"), "{asked:?}");
    assert!(!asked[3].contains("tailLines") && asked[3].contains("sinceTime="), "{asked:?}");
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() {
    let pod = |uid: &str| -> Pod {
        let status = json!([{"name": "server", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "containerID": "containerd://a", "state": {"running": {}}}]);
        let metadata = json!({"name": "p", "uid": uid});
        serde_json::from_value(json!({"metadata": metadata, "status": {"containerStatuses": status}})).unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client("127.0.0.1:9");
        let (api, options) = (Api::namespaced(client, "evenkeel"), LogOptions::default());
        let lines = mpsc::channel(WAITING).0;
        let mut following =
            Following { api: &api, options: &options, lines, readers: JoinSet::new(), logs: BTreeMap::new() };
        let mut listed = BTreeSet::new();
        for (uid, readers) in [("1", 1), ("1", 1), ("2", 2)] {
            following.take(Event::Apply(pod(uid)), &mut listed);
            assert_eq!((following.logs.len(), following.readers.len()), (1, readers), "{uid}");
        }
        following.take(Event::Init, &mut listed);
        following.take(Event::InitApply(pod("2")), &mut listed);
        following.take(Event::InitDone, &mut listed);
        assert_eq!(following.logs.len(), 1);
        following.take(Event::Init, &mut listed);
        following.take(Event::InitDone, &mut listed);
        assert_eq!(following.logs.len(), 0, "deleted while the watch was broken");
    });
}
