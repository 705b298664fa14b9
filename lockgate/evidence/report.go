package evidence

import (
	"fmt"
	"strings"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/keys"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// Step is one check that held.
type Step struct {
	Check  string
	Detail string
}

// Report is what a verification came to: everything in it was verified.
type Report struct {
	Bundle      Bundle
	Trust       Trust    // the roots that the file names
	Fingerprint [32]byte // of them
	Trusted     bool     // whether they are the ones that the reader trusts
	Directory   *directory.Directory
	Policy      policy.Policy
	Revoked     revoke.List   // zero: none was in force
	Finding     grant.Finding // made again
	Lease       *keys.Lease   // nil when nothing was granted
	Steps       []Step
}

func (r *Report) step(check, format string, args ...any) {
	r.Steps = append(r.Steps, Step{Check: check, Detail: fmt.Sprintf(format, args...)})
}

// Text tells the whole story: each check, the verdict beacon by beacon, and
// what the reader still has to believe.
func (r *Report) Text() string {
	var b strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%-10s ok  %s\n", s.Check, s.Detail)
	}
	if r.Finding.Judged {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(r.Finding.Verdict.Text(), "\n"))
	}
	b.WriteByte('\n')
	d := r.Bundle.Decision
	if d.Granted {
		fmt.Fprintf(&b, "The gate released %d units to core %s, and the evidence says that it was right to.\n", d.Units, r.Bundle.Request.Core.Short())
	} else {
		fmt.Fprintf(&b, "The gate refused core %s (%s), and the evidence says that it was right to.\n", r.Bundle.Request.Core.Short(), d.RefusedBy)
	}
	if !r.Trusted {
		fmt.Fprintf(&b, "The file is sound within itself. Whether its directory is the one you trust was not checked:\nthe roots have the fingerprint %x.\n", r.Fingerprint)
	}
	return b.String()
}
