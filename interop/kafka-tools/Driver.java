import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs many command lines of Kafka's tools in one JVM, one after another.
 *   java -cp ... Driver.java JOBS DIR
 * JOBS has a block of lines for each: case NAME, class CLASS, arg TEXT for each argument, in FILE for its
 * standard input, run. What it printed is put into DIR/NAME.out and DIR/NAME.err, and its exit code into DIR/NAME.exit.
 */
public class Driver {
    /** Ends a tool where it would end the process. */
    static final class Ended extends Error {
        Ended() {
            super(null, null, false, false);
        }
    }

    /** What one command line came to: the first exit counts, as nothing runs behind it in a process of its own. */
    static final class Run {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = new ArrayList<>();
        byte[] outAtEnd;
        byte[] errAtEnd;
        int code;

        synchronized void end(int status) {
            if (outAtEnd != null) {
                return;
            }
            System.out.flush();
            System.err.flush();
            outAtEnd = out.toByteArray();
            errAtEnd = err.toByteArray();
            code = status;
        }
    }

    static final AtomicReference<Run> CURRENT = new AtomicReference<>();

    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((status, message) -> {
            CURRENT.get().end(status);
            throw new Ended();
        });
        Exit.setHaltProcedure((status, message) -> {
            CURRENT.get().end(status);
            throw new Ended();
        });
        Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().hooks.add(hook));
        PrintStream out = System.out;
        String name = null;
        String tool = null;
        InputStream in = new ByteArrayInputStream(new byte[0]);
        List<String> words = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            int space = line.indexOf(' ');
            String rest = space < 0 ? "" : line.substring(space + 1);
            switch (space < 0 ? line : line.substring(0, space)) {
                case "case" -> name = rest;
                case "class" -> tool = rest;
                case "arg" -> words.add(rest);
                case "in" -> in = new ByteArrayInputStream(Files.readAllBytes(Path.of(rest)));
                case "run" -> {
                    Run run = run(tool, words.toArray(new String[0]), in);
                    Path base = Path.of(args[1]);
                    Files.write(base.resolve(name + ".out"), run.outAtEnd);
                    Files.write(base.resolve(name + ".err"), run.errAtEnd);
                    Files.writeString(base.resolve(name + ".exit"), Integer.toString(run.code));
                    out.println(name);
                    words.clear();
                    in = new ByteArrayInputStream(new byte[0]);
                }
                default -> throw new IllegalArgumentException(line);
            }
        }
        out.flush();
        Runtime.getRuntime().halt(0); // tools that were ended in the middle leave threads
    }

    static Run run(String tool, String[] args, InputStream in) throws Exception {
        Run run = new Run();
        CURRENT.set(run);
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setIn(in);
        System.setOut(new PrintStream(run.out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(run.err, true, StandardCharsets.UTF_8));
        Thread thread = new Thread(() -> {
            try {
                Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
            } catch (InvocationTargetException e) {
                if (!(e.getCause() instanceof Ended)) {
                    System.err.print("Exception in thread \"main\" ");
                    e.getCause().printStackTrace();
                    run.end(1);
                }
            } catch (ReflectiveOperationException e) {
                e.printStackTrace();
                run.end(127);
            }
            for (Runnable hook : run.hooks) {
                try {
                    hook.run();
                } catch (Throwable t) {
                    // the process would have ended
                }
            }
            run.end(0);
        });
        thread.setDaemon(true);
        thread.start();
        thread.join(30_000);
        if (thread.isAlive()) {
            System.err.println("it did not end in 30 s");
            run.end(124);
        }
        System.setOut(out);
        System.setErr(err);
        return run;
    }
}
