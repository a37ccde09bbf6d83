import java.net.Socket;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/** A handshake on loopback with each of these names: `name ok`, or `name` and why it was refused. */
public class Handshake {
    public static void main(String[] words) throws Exception {
        for (int at = 1; at < words.length; at++) {
            try (Socket plain = new Socket("127.0.0.1", Integer.parseInt(words[0]))) {
                SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
                SSLSocket socket = (SSLSocket) factory.createSocket(plain, words[at], 443, true);
                SSLParameters checked = socket.getSSLParameters();
                checked.setEndpointIdentificationAlgorithm("HTTPS");
                socket.setSSLParameters(checked);
                socket.startHandshake();
                System.out.println(words[at] + " ok");
            } catch (Exception error) {
                System.out.println(words[at] + " " + error.getMessage());
            }
        }
    }
}
