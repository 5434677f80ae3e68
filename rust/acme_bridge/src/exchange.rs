// SPDX-License-Identifier: Apache-2.0
//! Drives a future whose only reasons to wait are an answer and a pause, one step at a time.

use crate::ffi::{Answer, Field, Step, StepKind};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Characters of an answer in an error.
const MOST_SHOWN: usize = 300;

/// What the future and its driver tell each other.
#[derive(Clone, Default)]
pub struct Talk(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    wanted: Option<Step>,
    answer: Option<Answer>,
}

/// There was no answer at all.
#[derive(Debug)]
pub struct Unanswered(String);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Unanswered {}

fn step(kind: StepKind) -> Step {
    Step { kind, method: String::new(), url: String::new(), fields: Vec::new(), body: Vec::new(), pause_ms: 0, result: String::new() }
}

impl Talk {
    /// Says what is wanted, and waits for what comes back.
    async fn want(&self, wanted: Step) -> Answer {
        if let Ok(mut said) = self.0.lock() {
            said.answer = None;
            said.wanted = Some(wanted);
        }
        std::future::poll_fn(|_| match self.0.lock().ok().and_then(|mut said| said.answer.take()) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    pub async fn pause(&self, ms: u64) {
        self.want(Step { pause_ms: ms, ..step(StepKind::Pause) }).await;
    }

    /// The other side shows a certificate with this digest for this name, when it comes back.
    pub async fn show(&self, name: &str, digest: &[u8]) -> Result<(), Error> {
        let answer = self.want(Step { result: name.to_string(), body: digest.to_vec(), ..step(StepKind::Show) }).await;
        match answer.failed.is_empty() {
            true => Ok(()),
            false => Err(Error::Other(Box::new(Unanswered(answer.failed)))),
        }
    }

    async fn ask(self, request: http::Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(all) => all.to_bytes().to_vec(),
            Err(never) => match never {},
        };
        let fields = head.headers.iter().map(|(name, value)| Field { name: name.to_string(), value: value.as_bytes().to_vec() }).collect();
        let wanted = Step { method: head.method.to_string(), url: head.uri.to_string(), fields, body, ..step(StepKind::Ask) };
        // The crate looks at the status of what it has signed alone.
        let plain = head.method == http::Method::GET || head.method == http::Method::HEAD;
        let answer = self.want(wanted).await;
        if !answer.failed.is_empty() {
            return Err(Error::Other(Box::new(Unanswered(answer.failed))));
        }
        if plain && answer.status >= 400 {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(MOST_SHOWN).collect();
            return Err(Error::Other(Box::new(Unanswered(format!("{} answers with status {}: {}", head.uri, answer.status, text)))));
        }
        let mut response = http::Response::builder().status(answer.status);
        for field in &answer.fields {
            response = response.header(&field.name, field.value.as_slice());
        }
        Ok(BytesResponse::from(response.body(Full::new(Bytes::from(answer.body)))?))
    }
}

impl HttpClient for Talk {
    fn request(&self, request: http::Request<BodyWrapper<Bytes>>) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

type Work = Pin<Box<dyn Future<Output = Result<String, Error>> + Send>>;

pub struct Exchange {
    talk: Talk,
    work: Option<Work>,
}

impl Exchange {
    pub fn of<F>(make: impl FnOnce(Talk) -> F) -> Box<Exchange>
    where
        F: Future<Output = Result<String, Error>> + Send + 'static,
    {
        let talk = Talk::default();
        let work: Work = Box::pin(make(talk.clone()));
        Box::new(Exchange { talk, work: Some(work) })
    }

    pub fn begin(&mut self) -> Step {
        let Some(work) = self.work.as_mut() else {
            return Step { result: "the exchange is over".into(), ..step(StepKind::Failed) };
        };
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        let (kind, result) = match polled {
            Ok(Poll::Pending) => {
                if let Some(wanted) = self.talk.0.lock().ok().and_then(|mut said| said.wanted.take()) {
                    return wanted;
                }
                (StepKind::Failed, "the client waits for nothing".into())
            }
            Ok(Poll::Ready(Ok(result))) => (StepKind::Done, result),
            Ok(Poll::Ready(Err(error))) => (StepKind::Failed, error.to_string()),
            Err(_) => (StepKind::Failed, "the client broke down".into()),
        };
        self.work = None;
        Step { result, ..step(kind) }
    }

    pub fn go_on(&mut self, answer: Answer) -> Step {
        if let Ok(mut said) = self.talk.0.lock() {
            said.answer = Some(answer);
        }
        self.begin()
    }
}
