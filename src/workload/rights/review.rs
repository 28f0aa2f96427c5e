//! Asks the API server which rights the user has.

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::{Reach, Right};

/// How many reviews are asked for at once.
const AT_ONCE: usize = 8;

/// The answer about one right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The right.
    pub right: Right,
    /// Whether the user has it.
    pub allowed: bool,
}

/// Reviews `rights` in `namespace`, in their order.
///
/// # Errors
/// The API server's, or why it did not answer.
pub async fn review(client: &Client, rights: &[Right], namespace: &str) -> Result<Vec<Review>, kube::Error> {
    stream::iter(rights).map(|right| ask(client, *right, namespace)).buffered(AT_ONCE).try_collect().await
}

async fn ask(client: &Client, right: Right, namespace: &str) -> Result<Review, kube::Error> {
    let (resource, subresource) = right.split();
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: Some(right.verb.to_owned()),
        namespace: (right.reach == Reach::Namespace).then(|| namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let asked = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &asked).await?;
    Ok(Review { right, allowed: answer.status.is_some_and(|status| status.allowed) })
}
