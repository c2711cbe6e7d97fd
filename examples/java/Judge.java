import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.TypeAdapter;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Judges a text with `edgeguard stdio` as a child process. With Gson (com.google.code.gson:gson):
 *
 *   java -cp gson.jar Judge.java "a text"
 *
 * Exit code 0: not flagged, 1: flagged, 2: not judged. Whatever goes wrong is 2, and never 0.
 */
public class Judge {
    record Verdict(String severity, boolean flagged, JsonArray categories) {}

    /** The child; it answers one call after the other. */
    static final class Guard implements AutoCloseable {
        private static final Gson GSON = new Gson();
        private static final TypeAdapter<JsonElement> STRICT = GSON.getAdapter(JsonElement.class);
        private final Process child;
        private final BufferedWriter input;
        private final BufferedReader output;
        private int number = 0;

        Guard(String model) throws IOException {
            String parent = Long.toString(ProcessHandle.current().pid());
            ProcessBuilder builder = new ProcessBuilder("edgeguard", "stdio", "--model", model, "--parent", parent);
            child = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
            input = new BufferedWriter(new OutputStreamWriter(child.getOutputStream(), StandardCharsets.UTF_8));
            output = new BufferedReader(new InputStreamReader(child.getInputStream(), StandardCharsets.UTF_8));
            if (call("initialize", Map.of("protocol", 1)).get("protocol").getAsInt() != 1) {
                throw new IOException("edgeguard speaks another protocol than 1");
            }
        }

        Verdict check(String text) throws IOException {
            JsonObject found = call("check", Map.of("text", text, "timeout", 60));
            JsonElement flagged = found.get("flagged");
            if (!flagged.getAsJsonPrimitive().isBoolean()) throw new IOException("edgeguard's answer is no verdict");
            return new Verdict(found.get("severity").getAsString(), flagged.getAsBoolean(), found.getAsJsonArray("categories"));
        }

        private JsonObject call(String method, Map<String, ?> params) throws IOException {
            number++;
            input.write(GSON.toJson(Map.of("jsonrpc", "2.0", "id", number, "method", method, "params", params)));
            input.write('\n');
            input.flush();
            String line;
            while ((line = output.readLine()) != null) {
                JsonObject message = STRICT.fromJson(line).getAsJsonObject();
                if (message.has("method")) continue; // a notification: the progress of the load
                if (message.has("error")) {
                    throw new IOException(message.getAsJsonObject("error").get("message").getAsString());
                }
                if (message.get("id").getAsInt() != number) throw new IOException("edgeguard answered something else");
                return message.getAsJsonObject("result");
            }
            throw new IOException("edgeguard has ended");
        }

        /** The child ends with its input. */
        @Override
        public void close() throws IOException {
            input.close();
        }
    }

    public static void main(String[] args) {
        try (Guard guard = new Guard("nano")) {
            Verdict verdict = guard.check(args[args.length - 1]);
            System.out.println(verdict.severity() + " " + verdict.flagged() + " " + verdict.categories());
            System.exit(verdict.flagged() ? 1 : 0);
        } catch (IOException | RuntimeException error) { // a line that cannot be read is either
            System.err.println("not judged: " + error.getMessage());
            System.exit(2);
        }
    }
}
