package dev.happyllm;

import java.util.ArrayList;
import java.util.List;

/** Runs cases one after the other, and collects what failed. */
final class Check {
    interface Case {
        void run() throws Exception;
    }

    private final List<String> failures = new ArrayList<>();

    void run(String name, Case body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            failures.add(name);
            System.out.println("FAILED " + name);
            e.printStackTrace(System.out);
        }
    }

    /** The status to exit with. */
    int end() {
        System.out.println(failures.isEmpty() ? "all passed" : "failed: " + failures);
        return failures.isEmpty() ? 0 : 1;
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object found, Object expected) {
        that(expected.equals(found), "found " + found + ", expected " + expected);
    }

    /** The case fails with this status, and its message has this part. */
    static void fails(HappyStatus status, String part, Case body) throws Exception {
        HappyException failure = null;
        try {
            body.run();
        } catch (HappyException e) {
            failure = e;
        }
        that(failure != null, "nothing was thrown, expected " + status);
        String found = failure.status() + ": " + failure.getMessage();
        that(failure.status() == status && failure.getMessage().contains(part), found + ", expected " + status + ": " + part);
    }
}
