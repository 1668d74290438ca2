//! async-openai: base URL and key; the model is a field of every request. One JSON object on stdin, one JSON line as the
//! last of stdout.

use std::{error::Error, io, process::ExitCode};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::embeddings::{CreateEmbeddingRequestArgs, EmbeddingInput},
};
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::json;

const MODEL: &str = "text-embedding-3-small";

#[derive(Deserialize)]
struct Task {
    base_url: String,
    mode: String,
    texts: Vec<String>,
}

/// Print {"vectors": [[...], ...]}. If the SDK returns an error, the exit code is 1; if the error is its variant for
/// answers that are errors, stdout has {"refused": ...}.
#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let task: Task = serde_json::from_reader(io::stdin())?;
    let config = OpenAIConfig::new().with_api_base(task.base_url).with_api_key("unused");
    match embed_all(&Client::with_config(config), &task.mode, task.texts).await {
        Ok(vectors) => {
            println!("{}", json!({ "vectors": vectors }));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if let OpenAIError::ApiError(answer) = &error {
                println!(
                    "{}",
                    json!({"refused": {
                        "class": "OpenAIError::ApiError",
                        "status": answer.status_code.as_u16(),
                        "message": answer.api_error.message,
                    }})
                );
            }
            eprintln!("{error}");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn embed_all(
    client: &Client<OpenAIConfig>,
    mode: &str,
    texts: Vec<String>,
) -> Result<Vec<Vec<f32>>, OpenAIError> {
    if mode == "list" {
        return embed(client, texts).await;
    }
    let calls = texts.into_iter().map(|text| embed(client, text));
    Ok(try_join_all(calls).await?.concat())
}

async fn embed(
    client: &Client<OpenAIConfig>,
    input: impl Into<EmbeddingInput>,
) -> Result<Vec<Vec<f32>>, OpenAIError> {
    let request = CreateEmbeddingRequestArgs::default().model(MODEL).input(input).build()?;
    let answer = client.embeddings().create(request).await?;
    Ok(answer.data.into_iter().map(|item| item.embedding).collect())
}
