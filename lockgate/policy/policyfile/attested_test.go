package policyfile_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/policy/policyfile"
	"github.com/ursa-virtual/ursa/topology/directory"
)

func machine(t *testing.T, name string) [32]byte {
	t.Helper()
	b, err := hex.DecodeString(name)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(b)
}

// A policy may name the machines that it accepts. In whatever order they are written, it is the same policy.
func TestMachines(t *testing.T) {
	var encoded [][]byte
	for _, list := range []string{`["` + machineA + `", "` + machineB + `"]`, `["` + strings.ToUpper(machineB) + `", "` + machineA + `"]`} {
		f, _, err := policyfile.Check("p.yaml", []byte(machines(list)(good(t))))
		if err != nil {
			t.Fatal(err)
		}
		if want := [][32]byte{machine(t, machineA), machine(t, machineB)}; !slices.Equal(f.Policy.Attest[0].Machines, want) {
			t.Errorf("%x", f.Policy.Attest[0].Machines)
		}
		b, err := f.Policy.Encode()
		if err != nil {
			t.Fatal(err)
		}
		encoded = append(encoded, b)
		if words := policyfile.Words(f.Policy, 1); !strings.Contains(words, "machines ab1111111111 abababababab only") {
			t.Error(words)
		}
	}
	if !bytes.Equal(encoded[0], encoded[1]) {
		t.Error("two policies")
	}
	back, err := policy.Decode(encoded[0])
	if err != nil || len(back.Attest[0].Machines) != 2 || len(back.Validate()) != 0 {
		t.Errorf("%v %v", back.Attest, err)
	}
	slices.Reverse(back.Attest[0].Machines)
	if problems := back.Validate(); len(problems) != 1 || !strings.Contains(problems[0].Error(), "machines must ascend") {
		t.Error("descending:", problems)
	}
	back.Attest[0].Machines[1] = back.Attest[0].Machines[0]
	if problems := back.Validate(); len(problems) != 1 {
		t.Error("twice:", problems)
	}
}

// What changes of the profiles widen. Digests that begin alike are not the same.
func TestDiffOfProfiles(t *testing.T) {
	a, b := machine(t, machineA), machine(t, machineB)
	long := func(last byte) []byte { return append(bytes.Repeat([]byte{7}, 31), last) }
	sim := func(change func(*directory.Expectation)) []directory.Expectation {
		x := directory.Expectation{Platform: "sim", Measurements: [][]byte{long(1), long(2)}, MinTCB: 5}
		change(&x)
		return []directory.Expectation{x}
	}
	named := func(m ...[32]byte) []directory.Expectation {
		return sim(func(x *directory.Expectation) { x.Machines = m })
	}
	snp := func(tcb uint64) []directory.Expectation {
		return sim(func(x *directory.Expectation) { x.Platform, x.MinTCB = "sev-snp", tcb })
	}
	for _, tt := range []struct {
		name          string
		before, after []directory.Expectation
		want          policyfile.Direction
		says          []string
	}{
		{"any machine becomes one", named(), named(a), policyfile.Narrows, []string{"any machine", machineA}},
		{"one becomes any machine", named(a), named(), policyfile.Widens, []string{"any machine", machineA}},
		{"one more", named(a), named(a, b), policyfile.Widens, []string{machineB, "1 in both"}},
		{"one less", named(a, b), named(b), policyfile.Narrows, []string{machineA}},
		{"another", named(a), named(b), policyfile.Both, []string{machineA, machineB}},
		{"one measurement less", named(), sim(func(x *directory.Expectation) { x.Measurements = [][]byte{long(1)} }), policyfile.Narrows, []string{fmt.Sprintf("%x", long(2))}},
		{"another measurement that begins alike", named(), sim(func(x *directory.Expectation) { x.Measurements = [][]byte{long(1), long(3)} }), policyfile.Both,
			[]string{fmt.Sprintf("%x", long(2)), fmt.Sprintf("%x", long(3))}},
		{"higher version", named(), sim(func(x *directory.Expectation) { x.MinTCB = 6 }), policyfile.Narrows, []string{"tcb 5", "tcb 6"}},
		{"one component higher, one lower", snp(0x0105), snp(0x0200), policyfile.Both, []string{"0000000000000105", "0000000000000200"}},
		{"both components higher", snp(0x0105), snp(0x0206), policyfile.Narrows, nil},
		{"another platform", named(), snp(5), policyfile.Both, []string{"sim (", "sev-snp ("}},
	} {
		changes, err := policyfile.Diff(policy.Policy{Permit: "DE", Attest: tt.before}, policy.Policy{Permit: "DE", Attest: tt.after})
		if err != nil || len(changes) != 1 || changes[0].Field != "attest" || changes[0].Direction != tt.want {
			t.Errorf("%s: %v %v, want %s", tt.name, changes, err, tt.want)
			continue
		}
		for _, part := range tt.says {
			if !strings.Contains(changes[0].String(), part) {
				t.Errorf("%s: no %q in %s", tt.name, part, changes[0])
			}
		}
		if same, err := policyfile.Diff(policy.Policy{Permit: "DE", Attest: tt.after}, policy.Policy{Permit: "DE", Attest: tt.after}); err != nil || len(same) != 0 {
			t.Errorf("%s: with itself: %v %v", tt.name, same, err)
		}
	}
}

// The published schema of an accepted profile has the fields that the reader knows.
func TestSchemaOfProfiles(t *testing.T) {
	var schema struct {
		Properties struct {
			Attest struct {
				Items struct {
					Required   []string                   `json:"required"`
					Properties map[string]json.RawMessage `json:"properties"`
				} `json:"items"`
			} `json:"attest"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(policyfile.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	_, err := policyfile.Parse("p.yaml", []byte("attest:\n  - colour: blue\n"))
	said := fmt.Sprint(err)
	for name := range schema.Properties.Attest.Items.Properties {
		if !strings.Contains(said, name) {
			t.Errorf("the reader does not know %s of the schema", name)
		}
		if required := slices.Contains(schema.Properties.Attest.Items.Required, name); required != strings.Contains(said, name+" is missing") {
			t.Errorf("%s: the schema says required %v, the reader differs", name, required)
		}
	}
	if n := strings.Count(said[strings.Index(said, "the fields here are"):], ","); n+1 < len(schema.Properties.Attest.Items.Properties) {
		t.Errorf("%d fields in the schema: %s", len(schema.Properties.Attest.Items.Properties), said)
	}
}
