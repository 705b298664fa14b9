package storetest

import (
	"errors"
	"os"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/store/pgtemp"
)

// Postgres is for the error of starting a server of one's own: without the programs the test is left out, but in CI their absence is
// a failure, and so is a server that does not start anywhere.
func Postgres(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, pgtemp.ErrNone) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}
