//! The requests of a run, ready to be sent to its target.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use fastrand::Rng;

use super::http2::{Http2Request, RenderedHeaders};
use super::plan::{LoadPlan, Protocol};
use super::target::Target;
use super::template::{Template, Values};

/// The requests of a run. They are encoded once; only placeholders are replaced for each request.
#[derive(Clone)]
pub(super) struct PreparedRequests {
    /// The requests, if they are sent over HTTP/1.1.
    pub(super) http1: Arc<[Http1Request]>,
    /// The requests, if they are sent over HTTP/2.
    pub(super) http2: Arc<[Http2Request]>,
}

impl PreparedRequests {
    pub(super) fn new(plan: &LoadPlan, target: &Target) -> Self {
        let templates = plan.templates().iter();
        match plan.protocol {
            Protocol::Http1 => {
                Self { http1: templates.map(|template| template.http1(target)).collect(), http2: Arc::new([]) }
            }
            Protocol::Http2 { .. } => {
                let headers: Vec<_> = templates.map(|template| template.http2(target)).collect();
                Self { http1: Arc::new([]), http2: Http2Request::encode(headers).into() }
            }
        }
    }
}

/// A request over HTTP/1.1.
pub(super) struct Http1Request {
    /// Its bytes, if it has no placeholders.
    literal: Vec<u8>,
    /// Its head and its body otherwise.
    templates: Option<(Template, Template)>,
    pub(super) is_head: bool,
}

impl Http1Request {
    pub(super) fn new(head: Template, body: Template, is_head: bool) -> Self {
        match (head.as_literal(), body.as_literal()) {
            (Some(head), Some(body)) => Self { literal: [head, body].concat(), templates: None, is_head },
            _ => Self { literal: Vec::new(), templates: Some((head, body)), is_head },
        }
    }

    /// Its bytes, unless it has placeholders.
    #[inline]
    pub(super) fn as_literal(&self) -> Option<&[u8]> {
        if self.templates.is_none() { Some(&self.literal) } else { None }
    }
}

/// Replaces the placeholders in the requests of one worker.
pub(super) struct Renderer {
    /// The number of the next request: this worker has `worker`, `worker` + `workers`, …
    next: u64,
    workers: u64,
    random: Rng,
    unique: Rng,
    body: Vec<u8>,
}

impl Renderer {
    /// The renderer of worker number `worker` of `workers`, whose random numbers follow from `seed`.
    pub(super) fn new((worker, workers): (u64, u64), seed: u64) -> Self {
        let random = Rng::with_seed(seed.wrapping_add(worker));
        // The standard library seeds a new hasher from the system.
        let unique = Rng::with_seed(RandomState::new().build_hasher().finish());
        Self { next: worker, workers, random, unique, body: Vec::new() }
    }

    /// Replaces `output` by the request, if that has placeholders.
    #[inline]
    pub(super) fn http1(&mut self, request: &Http1Request, output: &mut Vec<u8>) {
        if let Some((head, body)) = &request.templates {
            output.clear();
            self.render(|values, rendered| {
                body.render(values, rendered);
                values.body_length = rendered.len();
                head.render(values, output);
                output.extend_from_slice(rendered);
            });
        }
    }

    /// The parts of the request that have placeholders, if it has any.
    #[inline]
    pub(super) fn http2(&mut self, request: &Http2Request) -> Option<Box<RenderedHeaders>> {
        let templates = request.templates()?;
        let mut headers = Box::<RenderedHeaders>::default();
        self.render(|values, body| templates.render(values, body, &mut headers));
        Some(headers)
    }

    /// Calls `write` with the values of the next request, and an empty buffer for its body.
    fn render(&mut self, write: impl FnOnce(&mut Values<'_>, &mut Vec<u8>)) {
        self.body.clear();
        let mut values = Values::new(self.next, &mut self.random, &mut self.unique);
        self.next += self.workers;
        write(&mut values, &mut self.body);
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::RequestTemplate;
    use super::*;

    fn target() -> Target {
        Target { address: "127.0.0.1:80".parse().unwrap(), host: "a".into(), path: "/".into(), tls: None }
    }

    #[test]
    fn the_length_is_that_of_the_body_as_it_is_sent() {
        let body = Template::parse("é {{sequence}}".as_bytes()).unwrap();
        let request = RequestTemplate::default().method("POST".parse().unwrap()).path("/{{sequence}}".parse().unwrap());
        let request = request.header("X-Id: <{{sequence}}>".parse().unwrap()).body_template(body).http1(&target());
        let mut renderer = Renderer::new((98, 2), 0);
        let mut output = b"what was there before".to_vec();
        for (number, length) in [(98, 5), (100, 6)] {
            renderer.http1(&request, &mut output);
            let expected = format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nUser-Agent: evenkeel\r\nAccept: */*\r\nContent-Length: {length}\r\n\
                 X-Id: <{number}>\r\n\r\né {number}"
            );
            assert_eq!(String::from_utf8(output.clone()).unwrap(), expected);
        }
    }

    #[test]
    fn random_numbers_follow_from_the_seed() {
        let request = RequestTemplate::default().path("/{{random:0..1000000}}".parse().unwrap()).http1(&target());
        let first = |seed| {
            let mut output = Vec::new();
            Renderer::new((0, 1), seed).http1(&request, &mut output);
            output
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
