package monitor

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/ursa-virtual/ursa/lockgate/ledger"
)

// fakeLog is a log in memory that can be asked at any of its sizes: written anew from RFC 6962 and C2SP tlog-tiles, not by the
// library that the gate uses.
type fakeLog struct {
	key     ledger.Verifier
	signers []note.Signer
	leaves  [][]byte
	size    uint64            // that is shown
	notes   map[string][]byte // checkpoints that were signed, shared with clones
}

var fakeKey = sync.OnceValues(func() (*ledger.Key, error) { return ledger.NewKey("monitor.test/fake") })

func newFakeLog(t testing.TB) *fakeLog {
	t.Helper()
	k, err := fakeKey()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(k.Encode()), "\n")
	ed, err := note.NewSigner(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	ml, err := fnote.NewMLDSASigner(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	return &fakeLog{key: k.Verifier(), signers: []note.Signer{ed, ml}, notes: map[string][]byte{}}
}

// clone shows the same leaves, on its own.
func (l *fakeLog) clone() *fakeLog {
	c := *l
	c.leaves = append([][]byte(nil), l.leaves...)
	return &c
}

// root of the leaves from..to, by the definition.
func (l *fakeLog) root(from, to uint64) []byte {
	switch to - from {
	case 0:
		empty := sha256.Sum256(nil)
		return empty[:]
	case 1:
		return rfc6962.DefaultHasher.HashLeaf(l.leaves[from])
	}
	half := uint64(1)
	for half*2 < to-from {
		half *= 2
	}
	return rfc6962.DefaultHasher.HashChildren(l.root(from, from+half), l.root(from+half, to))
}

func (l *fakeLog) ReadCheckpoint(context.Context) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", l.key.Origin, l.size, base64.StdEncoding.EncodeToString(l.root(0, l.size)))
	if signed, ok := l.notes[text]; ok {
		return signed, nil
	}
	signed, err := note.Sign(&note.Note{Text: text}, l.signers...)
	l.notes[text] = signed
	return signed, err
}

func (l *fakeLog) ReadTile(_ context.Context, level, index uint64, _ uint8) ([]byte, error) {
	var out []byte
	width := uint64(1) << (8 * level) // leaves under one hash
	for i := index * 256; i < (index+1)*256 && (i+1)*width <= l.size; i++ {
		out = append(out, l.root(i*width, (i+1)*width)...)
	}
	if len(out) == 0 {
		return nil, os.ErrNotExist
	}
	return out, nil
}

func (l *fakeLog) ReadEntryBundle(_ context.Context, index uint64, _ uint8) ([]byte, error) {
	var out []byte
	for i := index * 256; i < min((index+1)*256, l.size); i++ {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(l.leaves[i]))), l.leaves[i]...)
	}
	return out, nil
}
