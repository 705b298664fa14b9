package identity_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/cryptotest"

	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The vectors are files that another implementation can use: everything is hexadecimal, every case names the check that must
// refuse it, or nothing if it must be accepted. `go test -run TestVectors -update` writes them anew; from fixed seeds, so that
// nothing changes unless the format does.
var update = flag.Bool("update", false, "write testdata anew")

// refusals are the names that vectors may use.
var refusals = map[string]error{
	"": nil, "identity.ErrSuite": identity.ErrSuite, "identity.ErrRole": identity.ErrRole, "identity.ErrKeySize": identity.ErrKeySize,
	"identity.ErrSmallOrder": identity.ErrSmallOrder, "identity.ErrNonCanonical": identity.ErrNonCanonical,
	"identity.ErrOffCurve": identity.ErrOffCurve, "identity.ErrKEMKey": identity.ErrKEMKey, "identity.ErrEd25519": identity.ErrEd25519,
	"identity.ErrMLDSA65": identity.ErrMLDSA65, "identity.ErrSignatureSize": identity.ErrSignatureSize,
	"identity.ErrObjectType": identity.ErrObjectType, "identity.ErrEnvelopeType": identity.ErrEnvelopeType,
	"identity.ErrSigner": identity.ErrSigner, "identity.ErrPath": identity.ErrPath, "identity.ErrUnwrap": identity.ErrUnwrap,
	"identity.ErrCiphertextSize": identity.ErrCiphertextSize, "canon.ErrTruncated": canon.ErrTruncated,
	"canon.ErrTrailing": canon.ErrTrailing, "canon.ErrNotShortest": canon.ErrNotShortest, "canon.ErrIndefinite": canon.ErrIndefinite,
	"canon.ErrFloat": canon.ErrFloat, "canon.ErrTag": canon.ErrTag, "canon.ErrSimple": canon.ErrSimple, "canon.ErrUTF8": canon.ErrUTF8,
	"canon.ErrDuplicateKey": canon.ErrDuplicateKey, "canon.ErrKeyOrder": canon.ErrKeyOrder, "canon.ErrNesting": canon.ErrNesting,
	"canon.ErrElements": canon.ErrElements, "canon.ErrUnknownKey": canon.ErrUnknownKey, "canon.ErrType": canon.ErrType,
	"canon.ErrNotCanonical": canon.ErrNotCanonical, "canon.ErrReserved": canon.ErrReserved,
}

// hexBytes is a byte string that JSON shows in hexadecimal.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(s []byte) (err error) {
	*b, err = hex.DecodeString(string(s))
	return err
}

// vector is one case; each file uses the fields that it needs.
type vector struct {
	Name      string   `json:"name"`
	Key       string   `json:"key,omitempty"` // name of an identity in identities.json
	Role      string   `json:"role,omitempty"`
	Seed      hexBytes `json:"seed,omitempty"`
	ID        hexBytes `json:"id,omitempty"`
	Type      string   `json:"type,omitempty"`
	Message   hexBytes `json:"message,omitempty"`
	Info      hexBytes `json:"info,omitempty"`
	Data      hexBytes `json:"data"`
	Secret    hexBytes `json:"secret,omitempty"`
	RefusedBy string   `json:"refused_by"`
}

type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	names := map[string]identity.Public{}
	private := map[string]*identity.Private{}
	run := func(file string, check func(t *testing.T, v vector) error) {
		for _, v := range readVectors(t, file) {
			want, known := refusals[v.RefusedBy]
			if !known {
				t.Errorf("%s: %s: no check is called %q", file, v.Name, v.RefusedBy)
			} else if err := check(t, v); !errors.Is(err, want) {
				t.Errorf("%s: %s: got %v, want %v", file, v.Name, err, want)
			}
		}
	}
	run("identities.json", func(t *testing.T, v vector) error {
		k, err := identity.FromSeed(identity.Role(v.Role), [32]byte(v.Seed))
		if err != nil {
			return err
		}
		names[v.Name], private[v.Name] = k.Public(), k
		if b, _ := k.Public().MarshalBinary(); !bytes.Equal(b, v.Data) || k.ID() != identity.ID(v.ID) {
			t.Errorf("%s: keys or id differ", v.Name)
		}
		return nil
	})
	run("publics.json", func(t *testing.T, v vector) error { _, err := identity.ParsePublic(v.Data); return err })
	run("signatures.json", func(t *testing.T, v vector) error {
		return names[v.Key].Verify(identity.ObjectType(v.Type), v.Message, v.Data)
	})
	run("envelopes.json", func(t *testing.T, v vector) error {
		e, err := identity.DecodeEnvelope(v.Data, 1<<16)
		if err != nil {
			return err
		}
		payload, err := e.Open(names[v.Key], identity.ObjectType(v.Type))
		if err == nil && !bytes.Equal(payload, v.Message) {
			t.Errorf("%s: payload differs", v.Name)
		}
		return err
	})
	run("kem.json", func(t *testing.T, v vector) error {
		k, err := identity.NewTimedKey(bytes.NewReader(v.Seed))
		if err != nil {
			return err
		}
		if k.ID() != identity.TimedKeyID(v.ID) {
			t.Errorf("%s: the key's name differs", v.Name)
		}
		secret, err := k.Decapsulate(v.Data)
		if err == nil && !bytes.Equal(secret, v.Secret) {
			t.Errorf("%s: secret differs", v.Name)
		}
		return err
	})
	run("wrap.json", func(t *testing.T, v vector) error {
		plain, err := private[v.Key].Unwrap(v.Info, v.Data)
		if err == nil && !bytes.Equal(plain, v.Message) {
			t.Errorf("%s: plaintext differs", v.Name)
		}
		return err
	})
	run("canon.json", func(t *testing.T, v vector) error { return canon.Check(v.Data) })
}

func readVectors(t *testing.T, name string) []vector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(name, err)
	}
	if len(f.Vectors) == 0 {
		t.Fatal(name, "is empty")
	}
	return f.Vectors
}

func writeFile(t *testing.T, name, about string, vectors []vector) {
	t.Helper()
	b, err := json.MarshalIndent(vectorFile{about, vectors}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeVectors(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1) // the hedge of ML-DSA and the randomness of HPKE
	keys := map[string]*identity.Private{}
	var list []vector
	for i, role := range []identity.Role{identity.RoleCore, identity.RoleBeacon, identity.RoleDirectory, identity.RoleGate} {
		seed := bytes.Repeat([]byte{byte(i + 1)}, 32)
		k, err := identity.FromSeed(role, [32]byte(seed))
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.Public().MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		id := k.ID()
		keys[string(role)] = k
		list = append(list, vector{Name: string(role), Role: string(role), Seed: seed, ID: id[:], Data: public})
	}
	writeFile(t, "identities.json", "Keys from role and seed: data is the encoded public identity, id its hash. Other files name these identities.", list)
	writePublics(t, list)
	writeSignatures(t, keys)
	writeEnvelopes(t, keys)
	writeKEM(t, keys)
	writeCanon(t)
}

// publicMap is the encoded identity as its map, to spoil.
type publicMap struct {
	Suite   uint64 `cbor:"1,keyasint"`
	Role    string `cbor:"2,keyasint"`
	Ed25519 []byte `cbor:"3,keyasint"`
	MLDSA65 []byte `cbor:"4,keyasint"`
	KEM     []byte `cbor:"5,keyasint"`
}

func writePublics(t *testing.T, identities []vector) {
	var list []vector
	add := func(name, refused string, spoil func(*publicMap)) {
		var m publicMap
		if err := canon.Unmarshal(identities[1].Data, &m, identity.MaxPublicSize); err != nil {
			t.Fatal(err)
		}
		spoil(&m)
		b, err := canon.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{Name: name, Data: b, RefusedBy: refused})
	}
	hexKey := func(s string) func(*publicMap) {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return func(m *publicMap) { m.Ed25519 = b }
	}
	add("honest", "", func(*publicMap) {})
	add("suite 2: nothing to downgrade to", "identity.ErrSuite", func(m *publicMap) { m.Suite = 2 })
	add("unknown role", "identity.ErrRole", func(m *publicMap) { m.Role = "emperor" })
	add("the same keys as a directory key, which has no KEM", "identity.ErrKeySize", func(m *publicMap) { m.Role = "directory" })
	add("KEM key missing", "identity.ErrKeySize", func(m *publicMap) { m.KEM = nil })
	add("ML-DSA key a byte short", "identity.ErrKeySize", func(m *publicMap) { m.MLDSA65 = m.MLDSA65[1:] })
	add("Ed25519 identity element: one signature fits all messages", "identity.ErrSmallOrder", hexKey("0100000000000000000000000000000000000000000000000000000000000000"))
	add("Ed25519 point of order 2", "identity.ErrSmallOrder", hexKey("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"))
	add("Ed25519 point of order 4", "identity.ErrSmallOrder", hexKey("0000000000000000000000000000000000000000000000000000000000000080"))
	add("Ed25519 point of order 8", "identity.ErrSmallOrder", hexKey("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
	add("Ed25519 point of order 8, the other", "identity.ErrSmallOrder", hexKey("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
	add("Ed25519 y = p", "identity.ErrNonCanonical", hexKey("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"))
	add("Ed25519 y = 2 is off the curve", "identity.ErrOffCurve", hexKey("0200000000000000000000000000000000000000000000000000000000000000"))
	add("ML-KEM coefficient not reduced", "identity.ErrKEMKey", func(m *publicMap) { m.KEM[0], m.KEM[1] = 0xff, 0xff })
	add("KEM's X25519 point of small order", "identity.ErrKEMKey", func(m *publicMap) { clear(m.KEM[1184:]) })
	cut := identities[1].Data[:len(identities[1].Data)-1]
	list = append(list, vector{Name: "cut", Data: cut, RefusedBy: "canon.ErrTruncated"},
		vector{Name: "a byte more", Data: append(slices.Clone(identities[1].Data), 0), RefusedBy: "canon.ErrTrailing"})
	writeFile(t, "publics.json", "Encoded public identities.", list)
}

func writeSignatures(t *testing.T, keys map[string]*identity.Private) {
	message := hexBytes("the quick brown fox")
	sign := func(key, typ string) []byte {
		sig, err := keys[key].Sign(identity.ObjectType(typ), message)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	core, beacon := sign("core", "proof"), sign("beacon", "proof")
	join := func(a, b []byte) hexBytes { return append(slices.Clone(a[:64]), b[64:]...) }
	// S + L is the same scalar: RFC 8032 §5.1.7 demands S < L.
	malleable := slices.Clone(core)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(core[32:64])
	slices.Reverse(s)
	plus := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(plus)
	copy(malleable[32:64], plus)
	v := func(name, key, typ string, msg, sig hexBytes, refused string) vector {
		return vector{Name: name, Key: key, Type: typ, Message: msg, Data: sig, RefusedBy: refused}
	}
	writeFile(t, "signatures.json", "Hybrid signatures over \"ursa/1 \" ‖ type ‖ 0x00 ‖ SHA-512(message): 64 bytes of Ed25519, then 3309 of ML-DSA-65 with empty context.", []vector{
		v("honest", "core", "proof", message, core, ""),
		v("signed as another type", "core", "lease", message, core, "identity.ErrEd25519"),
		v("another message", "core", "proof", hexBytes("the quick brown ox"), core, "identity.ErrEd25519"),
		v("another key", "beacon", "proof", message, core, "identity.ErrEd25519"),
		v("ML-DSA half of another identity", "core", "proof", message, join(core, beacon), "identity.ErrMLDSA65"),
		v("Ed25519 half of another identity", "core", "proof", message, join(beacon, core), "identity.ErrEd25519"),
		v("Ed25519 half with S + L", "core", "proof", message, malleable, "identity.ErrEd25519"),
		v("Ed25519 half alone", "core", "proof", message, core[:64], "identity.ErrSignatureSize"),
		v("a byte more", "core", "proof", message, append(slices.Clone(core), 0), "identity.ErrSignatureSize"),
		v("in the context of batch roots", "core", "proof/batch", message, core, "identity.ErrObjectType"),
	})
}

func writeEnvelopes(t *testing.T, keys map[string]*identity.Private) {
	payloads := [][]byte{[]byte("zero"), []byte("one"), []byte("two"), []byte("three"), []byte("four")}
	batch, err := identity.SealBatch(keys["beacon"], "statement", payloads)
	if err != nil {
		t.Fatal(err)
	}
	single, err := identity.Seal(keys["beacon"], "statement", []byte("alone"))
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	add := func(name, refused string, e identity.Envelope, change func(*identity.Envelope)) {
		if e.Path != nil {
			p := *e.Path
			p.Hashes = slices.Clone(p.Hashes)
			e.Path = &p
		}
		change(&e)
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{Name: name, Key: "beacon", Type: "statement", Message: e.Payload, Data: b, RefusedBy: refused})
	}
	none := func(*identity.Envelope) {}
	add("single", "", single, none)
	add("first of five", "", batch[0], none)
	add("last of five: a path of one hash", "", batch[4], none)
	add("another type", "identity.ErrEnvelopeType", single, func(e *identity.Envelope) { e.Type = "proof" })
	add("another signer", "identity.ErrSigner", single, func(e *identity.Envelope) { e.Signer = keys["core"].ID() })
	add("another payload", "identity.ErrEd25519", single, func(e *identity.Envelope) { e.Payload = []byte("along") })
	add("batch member without its path", "identity.ErrEd25519", batch[1], func(e *identity.Envelope) { e.Path = nil })
	add("neighbour's payload", "identity.ErrEd25519", batch[1], func(e *identity.Envelope) { e.Payload = payloads[2] })
	add("index beyond the size", "identity.ErrPath", batch[4], func(e *identity.Envelope) { e.Path.Index = 5 })
	add("one hash too many", "identity.ErrPath", batch[1], func(e *identity.Envelope) { e.Path.Hashes = append(e.Path.Hashes, [32]byte{}) })
	add("one hash too few", "identity.ErrPath", batch[1], func(e *identity.Envelope) { e.Path.Hashes = e.Path.Hashes[1:] })
	writeFile(t, "envelopes.json", "Envelopes {1: type, 2: signer, 3: payload, 4: signature, 5: path or absent}; message is the payload of good ones.", list)
}

func writeKEM(t *testing.T, keys map[string]*identity.Private) {
	seed := hexBytes(bytes.Repeat([]byte{4}, 32))
	timed, err := identity.NewTimedKey(bytes.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	ct, secret, err := timed.Public().Encapsulate(bytes.NewReader(bytes.Repeat([]byte{5}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	name := timed.ID()
	writeFile(t, "kem.json", "X-Wing: a timed key from its seed, with its name as id; data is the ciphertext, made with 64 random bytes of 05.", []vector{
		{Name: "honest", Seed: seed, ID: name[:], Data: ct, Secret: secret},
		{Name: "cut", Seed: seed, ID: name[:], Data: ct[1:], RefusedBy: "identity.ErrCiphertextSize"},
	})
	plain, info := hexBytes("sixteen byte key"), hexBytes("lease 1")
	wrapped, err := identity.Wrap(keys["gate"].Public(), info, plain)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(wrapped)
	flipped[len(flipped)-1] ^= 1
	writeFile(t, "wrap.json", "HPKE (KEM 0x647a, KDF 0x0001, AEAD 0x0003), base mode, info = \"ursa/1 wrap\" ‖ 0x00 ‖ info, empty aad; data is enc ‖ ciphertext.", []vector{
		{Name: "honest", Key: "gate", Info: info, Message: plain, Data: wrapped},
		{Name: "another purpose", Key: "gate", Info: hexBytes("lease 2"), Data: wrapped, RefusedBy: "identity.ErrUnwrap"},
		{Name: "another key", Key: "beacon", Info: info, Data: wrapped, RefusedBy: "identity.ErrUnwrap"},
		{Name: "flipped bit", Key: "gate", Info: info, Data: flipped, RefusedBy: "identity.ErrUnwrap"},
		{Name: "cut", Key: "gate", Info: info, Data: wrapped[:1000], RefusedBy: "identity.ErrUnwrap"},
	})
}

func writeCanon(t *testing.T) {
	var list []vector
	for _, c := range [][3]string{
		{"0", "00", ""}, {"-1", "20", ""}, {"2^64-1", "1bffffffffffffffff", ""}, {"-2^64", "3bffffffffffffffff", ""}, {"true", "f5", ""},
		{"empty map", "a0", ""}, {"sorted map", "a20100026161", ""}, {"empty", "", "canon.ErrTruncated"},
		{"string of 2^64-1 bytes", "5bffffffffffffffff", "canon.ErrTruncated"}, {"trailing byte", "0000", "canon.ErrTrailing"},
		{"23 in two bytes", "1817", "canon.ErrNotShortest"}, {"length in two bytes", "580100", "canon.ErrNotShortest"},
		{"indefinite array", "9fff", "canon.ErrIndefinite"}, {"indefinite map", "bfff", "canon.ErrIndefinite"}, {"1.0", "f93c00", "canon.ErrFloat"},
		{"tagged", "c000", "canon.ErrTag"}, {"null", "f6", "canon.ErrSimple"}, {"undefined", "f7", "canon.ErrSimple"},
		{"reserved", "1c", "canon.ErrReserved"}, {"text that is not UTF-8", "61ff", "canon.ErrUTF8"},
		{"key twice", "a201000100", "canon.ErrDuplicateKey"}, {"keys unsorted", "a202000100", "canon.ErrKeyOrder"},
		{"17 nested arrays", "818181818181818181818181818181818100", "canon.ErrNesting"}, {"array of 65537", "9a00010001", "canon.ErrElements"},
	} {
		b, err := hex.DecodeString(c[1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{Name: c[0], Data: b, RefusedBy: c[2]})
	}
	writeFile(t, "canon.json", "Items of the deterministic encoding.", list)
}
