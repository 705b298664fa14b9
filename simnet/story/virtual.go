package story

import (
	"os"
	"testing"
	"testing/synctest"
)

// Virtually runs f in virtual time and then ends the process with the status that f returns. Virtual time is to be had from
// testing/synctest alone, which wants a test around it, so this is a test without go test: it never returns. Nothing that f waits for
// may come from outside: a context made before does not do.
func Virtually(f func() (status int)) {
	os.Args = os.Args[:1] // they are not the flags of a test
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "story", F: func(t *testing.T) {
		status := 1
		synctest.Test(t, func(*testing.T) { status = f() })
		os.Exit(status)
	}}}, nil, nil)
}
