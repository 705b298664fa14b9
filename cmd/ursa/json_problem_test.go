package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// What is wrong in a JSON file is told in one line, in words that are not Go's.
func TestJSONProblems(t *testing.T) {
	t.Parallel()
	good := `{"build":"b","number":1,"program_sha256":"aa","issued":"2026-01-01T00:00:00Z","expires":"2026-02-01T00:00:00Z",` +
		`"accept":[{"platform":"tpm","measurements":["aa"],"min_tcb":0}]}`
	file := filepath.Join(t.TempDir(), "draft.json")
	read := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readJSON(file, "a draft", &manifestDraft{})
	}
	if err := read(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, says string }{
		{`"number"`, `"nubmer"`, `unknown field "nubmer": did you mean number?`},
		{`"min_tcb"`, `"mintcb"`, `unknown field "mintcb": did you mean min_tcb?`},
		{`"number"`, `"colour"`, `unknown field "colour": the fields are build, number, program_sha256, issued, expires, accept, platform, measurements, min_tcb`},
		{`"min_tcb":0`, `"min_tcb":"0"`, "accept.min_tcb is a text, want a whole number from 0"},
		{`"number":1`, `"number":-1`, "number is -1, want a whole number from 0"},
		{`["aa"]`, `"aa"`, "accept.measurements is a text, want a list in brackets"},
		{`"2026-02-01T00:00:00Z"`, `"tomorrow"`, `"tomorrow" is no instant: write such as 2026-01-31T00:00:00Z`},
		{good, "[]", "it is a list, want fields in braces"},
		{good, `{"build":`, "it ends too early"},
		{`"number":1`, "\n \"number\" 1", "line 2, column 11: invalid character '1' after object key"},
		{good, good + "{", "there is more after its end"},
	} {
		err := read(strings.Replace(good, c.old, c.new, 1))
		if err == nil || !strings.HasSuffix(err.Error(), "draft.json is not a draft: "+c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s for %s: %v, want %s", c.new, c.old, err, c.says)
		}
	}
}

// A JSON file of another kind is not taken for a public key.
func TestPublicFileHoldsAKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keepers.json")
	if err := os.WriteFile(file, []byte(`{"threshold":1,"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPublic(file, identity.RoleAppraiser); err == nil || !strings.Contains(err.Error(), "is not a public key file") {
		t.Error(err)
	}
}
