// Stands in for git where a repository is not at hand: answers what the go command asks when
// it stamps a program with its commit, and nothing else.
package main

import (
	"os"
	"strings"
)

func main() {
	asked := strings.Join(os.Args[1:], " ")
	is := func(words string) bool { return strings.Contains(asked, words) }
	say := func(text string) { os.Stdout.WriteString(text) }
	switch {
	case is("status --porcelain"):
		say(changed)
	case is("--format=%H:%ct"):
		say(revision + ":" + seconds + "\n")
	case is("%H %ct %D"):
		say(revision + " " + seconds + " HEAD")
		for _, tag := range tags {
			say(", tag: " + tag)
		}
	case is("tag -l"):
		say(strings.Join(tags, "\n") + "\n")
	case is("for-each-ref"):
		for _, tag := range tags {
			say("refs/tags/" + tag + "\n")
		}
	case is("cat-file"):
		// A file of the commit, which is what lies in the directory.
		_, path, _ := strings.Cut(os.Args[len(os.Args)-1], ":")
		content, err := os.ReadFile(path)
		if err != nil {
			os.Exit(128)
		}
		say(string(content))
	default:
		os.Exit(1)
	}
}
