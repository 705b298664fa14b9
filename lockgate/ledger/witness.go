package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/note"
)

// Witnesses are others who have to cosign a checkpoint before it is published
// (C2SP tlog-witness and tlog-cosignature): they have seen the one before, and
// sign only what has grown out of it. So a gate cannot show one ledger to one
// reader and another to the next, unless so many witnesses help it.
type Witnesses struct {
	group tessera.WitnessGroup
	keys  []note.Verifier // of all of them, each once
}

// Refusals of witnesses, and of checkpoints for their sake.
var (
	ErrWitnesses   = errors.New("ledger: not a file of witnesses: write lines such as 'witness NAME VKEY URL', 'group NAME N MEMBER…' and one 'quorum NAME'")
	ErrWitnessKey  = errors.New("ledger: not the key of a witness: it looks like NAME+HASH+KEY (C2SP signed-note, cosignature/v1)")
	ErrUncosigned  = errors.New("ledger: too few witnesses cosigned the checkpoint")
	ErrCosignature = errors.New("ledger: the checkpoint carries a cosignature that is false")
)

// ParseWitnesses reads a policy of witnesses in the format of Sigsum and the
// public tools: whom to ask, and whose signatures suffice. Keys are note keys of
// cosignature/v1; no key counts under two names.
func ParseWitnesses(text []byte) (*Witnesses, error) {
	g, err := tessera.NewWitnessGroupFromPolicy(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrWitnesses, strings.TrimSpace(err.Error()))
	}
	if g.N < 1 || len(g.Endpoints()) == 0 {
		return nil, fmt.Errorf("%w: the quorum asks nobody", ErrWitnesses)
	}
	return collected(g)
}

// ParseCosigners is ParseWitnesses for those who only read: the file may leave
// out the addresses, which they have no use for.
func ParseCosigners(text []byte) (*Witnesses, error) {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) == 3 && f[0] == "witness" {
			lines[i] = line + " https://witness.invalid/" + f[1]
		}
	}
	return ParseWitnesses([]byte(strings.Join(lines, "\n")))
}

// CosignerKeys are witnesses named by nothing but their keys, for those who only
// read: each of them has to cosign.
func CosignerKeys(vkeys ...string) (*Witnesses, error) {
	if len(vkeys) == 0 {
		return nil, fmt.Errorf("%w: none is named", ErrWitnessKey)
	}
	g := tessera.WitnessGroup{N: len(vkeys)}
	for _, k := range vkeys {
		v, err := fnote.NewVerifierForCosignatureV1(k)
		if err != nil {
			return nil, fmt.Errorf("%w: %q", ErrWitnessKey, k)
		}
		// A plain Ed25519 key (type 1) stands for its cosignature/v1 twin, whose
		// hash is another one.
		if _, plain := note.NewVerifier(k); plain != nil && !strings.HasPrefix(k, fmt.Sprintf("%s+%08x+", v.Name(), v.KeyHash())) {
			return nil, fmt.Errorf("%w: the hash of %q is not that of its key", ErrWitnessKey, v.Name())
		}
		g.Components = append(g.Components, tessera.Witness{Key: v})
	}
	return collected(g)
}

func collected(g tessera.WitnessGroup) (*Witnesses, error) {
	w := &Witnesses{group: g}
	if err := w.collect(g); err != nil {
		return nil, err
	}
	return w, nil
}

// collect finds the keys under a group. One key under two names would count
// twice.
func (w *Witnesses) collect(g tessera.WitnessGroup) error {
	for _, c := range g.Components {
		switch c := c.(type) {
		case tessera.WitnessGroup:
			if err := w.collect(c); err != nil {
				return err
			}
		case tessera.Witness:
			if slices.ContainsFunc(w.keys, func(v note.Verifier) bool { return v.Name() == c.Key.Name() && v.KeyHash() == c.Key.KeyHash() }) {
				return fmt.Errorf("%w: the key of %s stands there twice", ErrWitnesses, c.Key.Name())
			}
			w.keys = append(w.keys, c.Key)
		}
	}
	return nil
}

// Of checks that they can be witnesses of a log: none bears the log's own name,
// which its two keys have.
func (w *Witnesses) Of(v Verifier) error {
	if w != nil && slices.ContainsFunc(w.keys, func(k note.Verifier) bool { return k.Name() == v.Origin }) {
		return fmt.Errorf("%w: %s is the log itself", ErrWitnesses, v.Origin)
	}
	return nil
}

// Satisfied says whether enough of them signed a checkpoint.
func (w *Witnesses) Satisfied(checkpoint []byte) bool {
	return w == nil || w.group.Satisfied(checkpoint)
}

// Check says what is wrong with the cosignatures of a checkpoint: ErrCosignature
// when a line that names one of the witnesses does not verify, whoever else
// signed; ErrUncosigned when too few of them did. Lines of others count nothing.
func (w *Witnesses) Check(checkpoint []byte) error {
	if w == nil {
		return nil
	}
	n, err := note.Open(checkpoint, note.VerifierList(w.keys...))
	var invalid *note.InvalidSignatureError
	if errors.As(err, &invalid) {
		return fmt.Errorf("%w: that of %s", ErrCosignature, invalid.Name)
	}
	var good []string
	if err == nil {
		for _, s := range n.Sigs {
			good = append(good, s.Name)
		}
	}
	if !w.Satisfied(checkpoint) {
		return fmt.Errorf("%w: %d of the %d that are known signed %v", ErrUncosigned, len(good), len(w.keys), good)
	}
	return nil
}

// with makes Tessera ask them. When too few answer, nothing is published.
func (w *Witnesses) with(o *tessera.AppendOptions) *tessera.AppendOptions {
	if w == nil {
		return o
	}
	return o.WithWitnesses(w.group, &tessera.WitnessOptions{})
}
