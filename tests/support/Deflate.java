// Compresses every file of the folder IN with java.util.zip, as jib does, into OUT/java=LEVEL=NAME.
//
//     java Deflate.java IN OUT LEVEL...
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;

class Deflate extends GZIPOutputStream {
    Deflate(OutputStream out, int level) throws java.io.IOException {
        super(out);
        def.setLevel(level);
    }

    public static void main(String[] args) throws Exception {
        try (var files = Files.list(Path.of(args[0]))) {
            for (Path file : files.toList()) {
                for (int at = 2; at < args.length; at++) {
                    Path to = Path.of(args[1], "java=" + args[at] + "=" + file.getFileName());
                    try (var out = new Deflate(Files.newOutputStream(to), Integer.parseInt(args[at]))) {
                        Files.copy(file, out);
                    }
                }
            }
        }
    }
}
