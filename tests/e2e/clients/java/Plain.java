import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Both clients of the JDK as a program has them that knows no proxy: what they need is in the environment. */
public class Plain {
    public static void main(String[] words) throws Exception {
        String bearer = "Bearer " + System.getenv("OPENAI_API_KEY");
        HttpRequest request = HttpRequest.newBuilder(URI.create(words[0])).header("Authorization", bearer).build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println("HttpClient " + answer.statusCode());
        HttpURLConnection old = (HttpURLConnection) URI.create(words[0]).toURL().openConnection();
        old.setRequestProperty("Authorization", bearer);
        System.out.println("HttpURLConnection " + old.getResponseCode());
    }
}
