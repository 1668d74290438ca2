import com.openai.errors.OpenAIServiceException;
import java.util.List;
import org.springframework.ai.embedding.EmbeddingModel;
import org.springframework.ai.openai.OpenAiEmbeddingModel;
import org.springframework.ai.openai.OpenAiEmbeddingOptions;
import protocol.Protocol;

/** spring-ai-openai: base URL and key. Its model is text-embedding-ada-002. */
final class Main implements Protocol.Client {
    private final EmbeddingModel model;

    private Main(String baseUrl) {
        model = OpenAiEmbeddingModel.builder()
                .options(OpenAiEmbeddingOptions.builder().baseUrl(baseUrl).apiKey("unused").build())
                .build();
    }

    @Override
    public float[] one(String text) {
        return model.embed(text);
    }

    @Override
    public List<float[]> list(List<String> texts) {
        return model.embed(texts);
    }

    @Override
    public Protocol.Refusal refusal(Throwable error) {
        return error instanceof OpenAIServiceException answer
                ? new Protocol.Refusal(answer.statusCode(), answer.getMessage())
                : null;
    }

    public static void main(String[] args) throws Exception {
        Protocol.answer(Main::new);
    }
}
