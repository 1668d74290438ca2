package protocol;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Function;

/** How a program talks to the tests: one JSON object on stdin, one JSON line as the last of stdout. */
public final class Protocol {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** An SDK that was given a base URL and a key. */
    public interface Client {
        /** Embed one text in one call of the SDK. */
        float[] one(String text);

        /** Embed all texts in one call of the SDK. */
        List<float[]> list(List<String> texts);

        /** Say what an error tells if it is the SDK's own class for answers that are errors; null otherwise. */
        Refusal refusal(Throwable error);
    }

    /** An answer that is an error, as a user of the SDK sees it. */
    public record Refusal(int status, String message) {}

    private record Task(String baseUrl, String mode, List<String> texts) {}

    private Protocol() {}

    /**
     * Ask what stdin says, and print {"vectors": [[...], ...]}. If the SDK throws, the exit code is 1; if the error is a
     * Refusal, stdout has {"refused": ...}.
     */
    @SuppressWarnings("unchecked")
    public static void answer(Function<String, Client> connect) throws Exception {
        Map<String, Object> asked = JSON.readValue(System.in, Map.class);
        Task task = new Task((String) asked.get("base_url"), (String) asked.get("mode"), (List<String>) asked.get("texts"));
        Client client = connect.apply(task.baseUrl);
        int status = 0;
        try {
            print(Map.of("vectors", embed(client, task)));
        } catch (RuntimeException error) {
            Refusal refusal = client.refusal(error);
            if (refusal != null) {
                String name = error.getClass().getSimpleName();
                print(Map.of("refused", Map.of("class", name, "status", refusal.status, "message", refusal.message)));
            }
            error.printStackTrace();
            status = 1;
        }
        System.exit(status); // idle threads of HTTP clients would keep the process
    }

    private static List<float[]> embed(Client client, Task task) throws InterruptedException {
        if (task.mode.equals("list")) {
            return client.list(task.texts);
        }
        ExecutorService threads = Executors.newFixedThreadPool(task.texts.size());
        List<Future<float[]>> calls = new ArrayList<>();
        for (String text : task.texts) {
            calls.add(threads.submit(() -> client.one(text)));
        }
        List<float[]> vectors = new ArrayList<>();
        for (Future<float[]> call : calls) {
            try {
                vectors.add(call.get());
            } catch (ExecutionException wrapped) {
                throw (RuntimeException) wrapped.getCause(); // neither SDK has checked exceptions
            }
        }
        return vectors;
    }

    private static void print(Object result) throws Exception {
        System.out.println(JSON.writeValueAsString(result));
    }
}
