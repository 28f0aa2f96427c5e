//! The reflection of a server (`grpc.reflection.v1`, and `v1alpha` of older servers): it describes the files in which its
//! services are defined.

mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Schema, SchemaError};
use wire::{Answer, Question, ServerReflectionRequest, ServerReflectionResponse};

/// The versions of the service, newest first.
const VERSIONS: [&str; 2] = ["v1", "v1alpha"];
/// The longest answer that is read, and the most files.
const LONGEST_ANSWER: usize = 16 << 20;
const MOST_FILES: usize = 2000;
/// Codes of statuses.
const NOT_FOUND: i32 = 5;
const UNIMPLEMENTED: i32 = 12;

/// How requests name the server, and what they carry.
#[derive(Clone, Debug, Default)]
pub struct Authority {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The value of `:authority`.
    pub host: String,
    /// Further metadata, such as a token.
    pub metadata: Vec<(String, String)>,
}

/// Asks the server at the other end of `io` for the files that define `service`. Nothing was sent over `io` before.
///
/// # Errors
/// [`SchemaError::NoReflection`], [`SchemaError::NoService`] and [`SchemaError::Reflection`].
pub async fn reflect(
    io: impl AsyncRead + AsyncWrite + Unpin,
    authority: &Authority,
    service: &str,
) -> Result<Schema, SchemaError> {
    let (client, connection) = h2::client::handshake(io).await.map_err(|why| failed(&why))?;
    let asked = async {
        for version in VERSIONS {
            match Reflection::open(client.clone(), authority, version).await?.files(service).await {
                Err(SchemaError::NoReflection) => {}
                files => return Schema::of_files(files?),
            }
        }
        Err(SchemaError::NoReflection)
    };
    tokio::select! {
        biased;
        schema = asked => schema,
        ended = connection => Err(match ended {
            Ok(()) => SchemaError::Reflection { why: "the server closed the connection".into() },
            Err(why) => failed(&why),
        }),
    }
}

fn failed(why: &h2::Error) -> SchemaError {
    SchemaError::Reflection { why: why.to_string() }
}

/// A stream of questions and answers.
struct Reflection {
    questions: SendStream<Bytes>,
    answers: Answers,
}

/// What the server sends.
enum Answers {
    /// The head has not arrived: a server may wait for the first question.
    Pending(h2::client::ResponseFuture),
    Open {
        body: RecvStream,
        received: BytesMut,
    },
}

impl Reflection {
    async fn open(client: SendRequest<Bytes>, authority: &Authority, version: &str) -> Result<Self, SchemaError> {
        let mut client = client.ready().await.map_err(|why| failed(&why))?;
        let Authority { scheme, host, metadata } = authority;
        let uri = format!("{scheme}://{host}/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let mut request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        for (name, value) in metadata {
            // What is no header of HTTP/2, such as Host, was left out by the caller.
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
                request = request.header(name, value);
            }
        }
        let request = request.body(()).map_err(|why| SchemaError::Reflection { why: why.to_string() })?;
        let (response, questions) = client.send_request(request, false).map_err(|why| failed(&why))?;
        Ok(Self { questions, answers: Answers::Pending(response) })
    }

    /// All files that are needed for `service`.
    async fn files(mut self, service: &str) -> Result<Vec<FileDescriptorProto>, SchemaError> {
        let first = match self.ask(Question::FileContainingSymbol(service.to_owned())).await? {
            Answer::Files(files) => files.files,
            Answer::Error(error) if error.code == NOT_FOUND => return Err(self.no_service(service).await?),
            Answer::Error(error) if error.code == UNIMPLEMENTED => return Err(SchemaError::NoReflection),
            other => return Err(unexpected(&other)),
        };
        let mut files = BTreeMap::new();
        let (mut asked, mut wanted) = (BTreeSet::new(), VecDeque::new());
        add(first, &mut files, &mut wanted)?;
        let known = DescriptorPool::global();
        while let Some(name) = wanted.pop_front() {
            if files.contains_key(&name) || known.get_file_by_name(&name).is_some() || !asked.insert(name.clone()) {
                continue;
            }
            match self.ask(Question::FileByFilename(name)).await? {
                Answer::Files(more) => add(more.files, &mut files, &mut wanted)?,
                other => return Err(unexpected(&other)),
            }
            if files.len() > MOST_FILES {
                return Err(SchemaError::Reflection { why: format!("it describes more than {MOST_FILES} files") });
            }
        }
        Ok(files.into_values().collect())
    }

    /// The error of a service that does not exist, with those that do.
    async fn no_service(&mut self, service: &str) -> Result<SchemaError, SchemaError> {
        let known = match self.ask(Question::ListServices("*".into())).await? {
            Answer::Services(list) => list.services.into_iter().map(|service| service.name).collect(),
            _ => Vec::new(),
        };
        Ok(SchemaError::NoService { service: service.to_owned(), known })
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, SchemaError> {
        let message = ServerReflectionRequest { host: String::new(), question: Some(question) }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        let framed = [&[0], &length[..], &message].concat();
        // Where the server has ended the stream already, its status says why.
        let sent = self.questions.send_data(framed.into(), false);
        let answer = self.answers.next().await?;
        sent.map_err(|why| failed(&why))?;
        answer.answer.ok_or_else(|| SchemaError::Reflection { why: "its answer is empty".into() })
    }
}

impl Answers {
    async fn next(&mut self) -> Result<ServerReflectionResponse, SchemaError> {
        if let Self::Pending(response) = self {
            let (head, body) = response.await.map_err(|why| failed(&why))?.into_parts();
            check(&Response::from_parts(head, ()))?;
            *self = Self::Open { body, received: BytesMut::new() };
        }
        let Self::Open { body, received } = self else { return Err(SchemaError::NoReflection) };
        loop {
            if let Some(message) = take(received)? {
                return ServerReflectionResponse::decode(message)
                    .map_err(|why| SchemaError::Reflection { why: format!("its answer is not valid: {why}") });
            }
            let Some(data) = body.data().await else {
                let trailers = body.trailers().await.map_err(|why| failed(&why))?.unwrap_or_default();
                return Err(ended(&trailers));
            };
            let data = data.map_err(|why| failed(&why))?;
            body.flow_control().release_capacity(data.len()).map_err(|why| failed(&why))?;
            received.extend_from_slice(&data);
        }
    }
}

/// The first message, if it is complete.
fn take(received: &mut BytesMut) -> Result<Option<BytesMut>, SchemaError> {
    let Some(&[compressed, a, b, c, d]) = received.first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 || length > LONGEST_ANSWER {
        return Err(SchemaError::Reflection { why: "its answer is compressed or longer than 16 MiB".into() });
    }
    if received.len() - 5 < length {
        return Ok(None);
    }
    received.advance(5);
    Ok(Some(received.split_to(length)))
}

/// Checks the head of the response.
fn check(head: &Response<()>) -> Result<(), SchemaError> {
    if head.headers().contains_key("grpc-status") {
        return Err(ended(head.headers()));
    }
    let content = head.headers().get("content-type").map_or(&b""[..], HeaderValue::as_bytes);
    match head.status().as_u16() {
        200 if content.starts_with(b"application/grpc") => Ok(()),
        // A server that speaks no gRPC at all.
        200 | 404 | 405 | 415 => Err(SchemaError::NoReflection),
        status => Err(SchemaError::Reflection { why: format!("it answered with the HTTP status {status}") }),
    }
}

/// The error of a stream that ended with these trailers.
fn ended(trailers: &HeaderMap) -> SchemaError {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("12") => SchemaError::NoReflection,
        Some("0") | None => SchemaError::Reflection { why: "the server ended the stream".into() },
        Some(code) => {
            let said = text("grpc-message").map(|message| format!(": {message}")).unwrap_or_default();
            SchemaError::Reflection { why: format!("it answered with the status {code}{said}") }
        }
    }
}

fn unexpected(answer: &Answer) -> SchemaError {
    SchemaError::Reflection {
        why: match answer {
            Answer::Error(error) => format!("it answered with the status {}: {}", error.code, error.message),
            _ => "its answer is not about what was asked".into(),
        },
    }
}

/// Adds files, and what they import to `wanted`.
fn add(
    encoded: Vec<Vec<u8>>,
    files: &mut BTreeMap<String, FileDescriptorProto>,
    wanted: &mut VecDeque<String>,
) -> Result<(), SchemaError> {
    for file in encoded {
        let file = FileDescriptorProto::decode(&file[..])
            .map_err(|why| SchemaError::Reflection { why: format!("its description is not valid: {why}") })?;
        wanted.extend(file.dependency.iter().cloned());
        files.insert(file.name().to_owned(), file);
    }
    Ok(())
}
