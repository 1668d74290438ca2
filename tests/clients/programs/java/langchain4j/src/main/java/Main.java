import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.exception.HttpException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.openai.OpenAiEmbeddingModel;
import dev.langchain4j.model.openai.OpenAiEmbeddingModelName;
import java.util.List;
import protocol.Protocol;

/** langchain4j-open-ai: base URL and key; it has no model of its own, and its documentation names this one. */
final class Main implements Protocol.Client {
    private final EmbeddingModel model;

    private Main(String baseUrl) {
        model = OpenAiEmbeddingModel.builder()
                .baseUrl(baseUrl)
                .apiKey("unused")
                .modelName(OpenAiEmbeddingModelName.TEXT_EMBEDDING_3_SMALL)
                .build();
    }

    @Override
    public float[] one(String text) {
        return model.embed(text).content().vector();
    }

    @Override
    public List<float[]> list(List<String> texts) {
        List<TextSegment> segments = texts.stream().map(TextSegment::from).toList();
        return model.embedAll(segments).content().stream().map(Embedding::vector).toList();
    }

    @Override
    public Protocol.Refusal refusal(Throwable error) {
        boolean isAnswer = error instanceof LangChain4jException && error.getCause() instanceof HttpException;
        return isAnswer
                ? new Protocol.Refusal(((HttpException) error.getCause()).statusCode(), error.getMessage())
                : null;
    }

    public static void main(String[] args) throws Exception {
        Protocol.answer(Main::new);
    }
}
