package identity

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// slowRoot and slowPath are RFC 6962 §2.1 word by word.
func slowRoot(leaves [][]byte) [32]byte {
	if len(leaves) == 1 {
		return leafHash(leaves[0])
	}
	k := split(len(leaves))
	return nodeHash(slowRoot(leaves[:k]), slowRoot(leaves[k:]))
}

func slowPath(m int, leaves [][]byte) [][32]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if m < k {
		return append(slowPath(m, leaves[:k]), slowRoot(leaves[k:]))
	}
	return append(slowPath(m-k, leaves[k:]), slowRoot(leaves[:k]))
}

func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

func payloads(n int) [][]byte {
	p := make([][]byte, n)
	for i := range p {
		p[i] = fmt.Appendf(nil, "payload %d", i)
	}
	return p
}

func TestMerkleAgainstSlowTwin(t *testing.T) {
	for n := 1; n <= 70; n++ {
		p := payloads(n)
		levels := merkleLevels(p)
		if got, want := levels[len(levels)-1][0], slowRoot(p); got != want {
			t.Fatalf("root of %d leaves differs", n)
		}
		for i := range p {
			path := Path{Index: uint64(i), Size: uint64(n), Hashes: siblings(levels, i)}
			if fmt.Sprint(path.Hashes) != fmt.Sprint(append([][32]byte{}, slowPath(i, p)...)) {
				t.Fatalf("path of leaf %d of %d differs", i, n)
			}
			if got, err := path.root(p[i]); err != nil || got != slowRoot(p) {
				t.Fatalf("leaf %d of %d does not lead to the root: %v", i, n, err)
			}
		}
	}
}

// Whatever is changed in a path, it leads to another root or to none.
func TestMerklePathChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "size")
		i := rapid.IntRange(0, n-1).Draw(t, "index")
		p := payloads(n)
		levels := merkleLevels(p)
		want := levels[len(levels)-1][0]
		path := Path{Index: uint64(i), Size: uint64(n), Hashes: siblings(levels, i)}
		leaf := p[i]
		switch rapid.IntRange(0, 4).Draw(t, "change") {
		case 0:
			path.Index = uint64(rapid.IntRange(0, 50).Filter(func(j int) bool { return j != i }).Draw(t, "other index"))
		case 1:
			leaf = append([]byte("x"), leaf...)
		case 2:
			path.Hashes = append(path.Hashes, [32]byte{1})
		case 3:
			if len(path.Hashes) == 0 {
				t.Skip()
			}
			path.Hashes = path.Hashes[:len(path.Hashes)-1]
		case 4:
			if len(path.Hashes) == 0 {
				t.Skip()
			}
			path.Hashes[rapid.IntRange(0, len(path.Hashes)-1).Draw(t, "hash")][5] ^= 4
		}
		if got, err := path.root(leaf); err == nil && got == want {
			t.Fatal("a changed path leads to the same root")
		}
	})
}

func TestBatch(t *testing.T) {
	k, err := FromSeed(RoleBeacon, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 7, 8} {
		envelopes, err := SealBatch(k, TypeStatement, payloads(n))
		if err != nil {
			t.Fatal(err)
		}
		cache := NewRootCache(2)
		for i, e := range envelopes {
			data, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			back, err := DecodeEnvelope(data, 1<<14)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cache.Open(back, k.Public(), TypeStatement)
			if err != nil || string(got) != fmt.Sprintf("payload %d", i) {
				t.Fatalf("%d of %d: %q, %v", i, n, got, err)
			}
		}
		if hits, misses := cache.Stats(); misses != 1 || hits != uint64(n-1) {
			t.Fatalf("%d envelopes of one batch: %d verified, %d known", n, misses, hits)
		}
	}
	for _, n := range []int{0, MaxBatch + 1} {
		if _, err := SealBatch(k, TypeStatement, make([][]byte, n)); !errors.Is(err, ErrBatchSize) {
			t.Fatal(n, err)
		}
	}
}

func TestBatchRefuses(t *testing.T) {
	k, _ := FromSeed(RoleBeacon, [32]byte{1})
	other, _ := FromSeed(RoleBeacon, [32]byte{2})
	a, _ := SealBatch(k, TypeStatement, payloads(5))
	b, _ := SealBatch(k, TypeStatement, [][]byte{[]byte("x"), []byte("y")})
	good := a[3]
	// The signature of a batch root is no signature of an object that happens to have the root's bytes, nor the reverse.
	root := slowRoot(payloads(5))
	asPlain := Envelope{Type: TypeStatement, Signer: k.ID(), Payload: batchRoot(5, root), Signature: good.Signature}
	plainSig, _ := k.Sign(TypeStatement, batchRoot(5, root))
	with := func(change func(*Envelope)) Envelope {
		e := good
		p := *good.Path
		p.Hashes = append([][32]byte{}, p.Hashes...)
		e.Path = &p
		change(&e)
		return e
	}
	cases := []struct {
		name string
		e    Envelope
		want error
	}{
		{"root as object", asPlain, ErrEd25519},
		{"object as root", with(func(e *Envelope) { e.Signature = plainSig }), ErrEd25519},
		{"without path", with(func(e *Envelope) { e.Path = nil }), ErrEd25519},
		{"neighbour's payload", with(func(e *Envelope) { e.Payload = a[2].Payload }), ErrEd25519},
		{"neighbour's index", with(func(e *Envelope) { e.Path.Index = 2 }), ErrEd25519},
		{"smaller batch", with(func(e *Envelope) { e.Path.Size = 4 }), ErrPath},
		{"another size, same shape", with(func(e *Envelope) { e.Path.Size = 6 }), ErrEd25519},
		{"index beyond size", with(func(e *Envelope) { e.Path.Index = 5 }), ErrPath},
		{"size zero", with(func(e *Envelope) { e.Path.Size = 0 }), ErrPath},
		{"huge size", with(func(e *Envelope) { e.Path.Size = 1 << 63 }), ErrPath},
		{"hash missing", with(func(e *Envelope) { e.Path.Hashes = e.Path.Hashes[1:] }), ErrPath},
		{"hash too many", with(func(e *Envelope) { e.Path.Hashes = append(e.Path.Hashes, root) }), ErrPath},
		{"another batch's signature", with(func(e *Envelope) { e.Signature = b[0].Signature }), ErrEd25519},
		{"another batch's path", with(func(e *Envelope) { e.Path = b[0].Path }), ErrEd25519},
		{"second half flipped", with(func(e *Envelope) {
			e.Signature = append([]byte{}, e.Signature...)
			e.Signature[70] ^= 1
		}), ErrMLDSA65},
		{"another signer", with(func(e *Envelope) { e.Signer = other.ID() }), ErrSigner},
		{"another type", with(func(e *Envelope) { e.Type = TypeProof }), ErrEnvelopeType},
	}
	cache := NewRootCache(4)
	if _, err := cache.Open(good, k.Public(), TypeStatement); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for name, cache := range map[string]*RootCache{"no cache": nil, "warm cache": cache} {
			if _, err := cache.Open(c.e, k.Public(), TypeStatement); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: got %v, want %v", c.name, name, err, c.want)
			}
		}
	}
}

// TestKnownEnvelopes: an envelope that was verified is known, and any other is
// verified, however little it differs.
func TestKnownEnvelopes(t *testing.T) {
	k, err := FromSeed(RoleBeacon, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := FromSeed(RoleBeacon, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Seal(k, TypeStatement, []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	c := NewRootCache(2)
	for range 3 {
		if got, err := c.OpenKnown(e, k.Public(), TypeStatement); err != nil || string(got) != "payload" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if hits, misses := c.Stats(); hits != 2 || misses != 1 {
		t.Fatalf("%d known, %d not", hits, misses)
	}
	for name, change := range map[string]func(*Envelope){
		"payload":   func(e *Envelope) { e.Payload = []byte("payloae") },
		"longer":    func(e *Envelope) { e.Payload = append([]byte("payload"), 0) },
		"signature": func(e *Envelope) { e.Signature = append([]byte{e.Signature[0] ^ 1}, e.Signature[1:]...) },
		"type":      func(e *Envelope) { e.Type = TypeProof },
		"signer":    func(e *Envelope) { e.Signer = other.ID() },
	} {
		x := e
		change(&x)
		if _, err := c.OpenKnown(x, k.Public(), TypeStatement); err == nil {
			t.Errorf("another %s is taken for the known one", name)
		}
	}
	if _, err := c.OpenKnown(e, other.Public(), TypeStatement); err == nil {
		t.Error("another key is taken for the signer's")
	}
	if _, err := (*RootCache)(nil).OpenKnown(e, k.Public(), TypeStatement); err != nil {
		t.Error(err)
	}
	batch, err := SealBatch(k, TypeStatement, payloads(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenKnown(batch[1], k.Public(), TypeStatement); err != nil {
		t.Error(err)
	}
}

func TestRootCacheIsBounded(t *testing.T) {
	c := NewRootCache(3)
	key := func(i int) [32]byte { return [32]byte{byte(i)} }
	for i := range 10 {
		c.remember(key(i))
		c.remember(key(i))
	}
	if len(c.seen) != 3 || len(c.order) != 3 {
		t.Fatal(len(c.seen), len(c.order))
	}
	for i := range 10 {
		if got := c.known(key(i)); got != (i >= 7) {
			t.Fatalf("%d known: %v", i, got)
		}
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	k, _ := FromSeed(RoleCore, [32]byte{2})
	e, err := Seal(k, TypeReport, []byte("used 5"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeEnvelope(data, len(data))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := back.Open(k.Public(), TypeReport); err != nil || !bytes.Equal(got, []byte("used 5")) {
		t.Fatal(got, err)
	}
	for i := range data { // each byte, one bit
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		e, err := DecodeEnvelope(bad, len(bad))
		if err != nil {
			continue
		}
		if _, err := e.Open(k.Public(), TypeReport); err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(data))
		}
	}
}
