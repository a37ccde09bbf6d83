import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Arrays;

/** Java's own HttpClient: URL, proxy port, password for whoever asks (or "-"), Authorization (or "-"), body (or "-"). Prints status and body. */
class Call {
    public static void main(String[] words) throws Exception {
        var client = HttpClient.newBuilder().proxy(ProxySelector.of(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[1]))));
        if (!words[2].equals("-")) {
            client.authenticator(new Authenticator() {
                @Override
                protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication("me", words[2].toCharArray());
                }
            });
        }
        var request = HttpRequest.newBuilder(URI.create(words[0]));
        if (!words[3].equals("-")) request.header("Authorization", words[3]);
        if (!words[4].equals("-")) {
            request.header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(words[4]));
        }
        var answer = client.build().send(request.build(), HttpResponse.BodyHandlers.ofLines());
        System.out.println(answer.statusCode() + " " + answer.version());
        answer.body().forEach(System.out::println);
    }
}
