package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

type calibFitFlags struct {
	data, name           string
	score                []string
	valid                time.Duration
	out, key, passphrase string
	json                 bool
}

func calibFitCommand() *cobra.Command {
	var o calibFitFlags
	cmd := &cobra.Command{
		Use:   "fit --data DIR",
		Short: "Fit which delay goes with which distance, and score the fit elsewhere",
		Long: "Drops what the audit convicts or refuses, fits the delay model to the rest, and prints it with its held-out\n" +
			"score. With --score it is tried on other sets: the share of their pairs within its 95 % band, as it is and after\n" +
			"choosing between it and the bare profiles. With --out it is written as a signed file. The estimate uses models;\n" +
			"a proof never does.",
		Example: "  ursa calib fit --data ../shared/data/wonderproxy-2020 --score ../shared/data/cloud-aws-2020\n" +
			"  ursa calib fit --data measured --out model.ursa --key policy.key --passphrase-file pass",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "folder of the measured set")
	flags.StringVar(&o.name, "name", "", "the model's name (default: the set's)")
	flags.StringArrayVar(&o.score, "score", nil, "folder of another measured set to try the model on; may be repeated")
	flags.DurationVar(&o.valid, "valid", calibValid, "how long the model is valid")
	flags.StringVar(&o.out, "out", "", "write the signed model into this file")
	flags.StringVar(&o.key, "key", "", "key file that signs the model")
	flags.StringVar(&o.passphrase, "passphrase-file", "", "file with the passphrase of the key file, without its last newline")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

// calibValid is how long a model is valid when nobody says otherwise.
const calibValid = 30 * 24 * time.Hour

// calibScore is how a model does on another set: the share of pairs within its 95 % band. One half of the pairs chooses the curve, the
// other half is counted.
type calibScore struct {
	Data     string  `json:"data"`
	Pairs    int     `json:"pairs"` // counted
	AsItIs   float64 `json:"within_95"`
	Adapted  float64 `json:"within_95_adapted"`
	Selected string  `json:"selected"` // "own" or the profile that suits the set better
}

func (o *calibFitFlags) run(cmd *cobra.Command) error {
	switch {
	case o.data == "":
		return usagef("no data: say --data DIR, a folder with nodes.csv and rtt.csv")
	case o.valid <= 0:
		return usagef("--valid %v: say a duration above 0", o.valid)
	case (o.out == "") != (o.key == ""):
		return usagef("--out and --key belong together: a model file is signed")
	}
	set, dropped, err := calibClean("--data", o.data)
	if err != nil {
		return err
	}
	if o.name == "" {
		o.name = set.Name
	}
	now := time.Now()
	m, err := model.Fit(calibNodes(set), set, model.Options{Name: o.name, Issued: now, Expires: now.Add(o.valid)})
	if err != nil {
		return err
	}
	var scores []calibScore
	for _, dir := range o.score {
		s, err := calibTry(m, dir)
		if err != nil {
			return err
		}
		scores = append(scores, s)
	}
	if o.out != "" {
		if err := o.write(m); err != nil {
			return err
		}
	}
	if o.json {
		return calibFitJSON(cmd.OutOrStdout(), m, dropped, scores)
	}
	return calibFitText(cmd.OutOrStdout(), m, dropped, scores)
}

// calibNodes are the nodes of a set as a fit wants them.
func calibNodes(set *dataset.Set) []model.Node {
	nodes := make([]model.Node, set.Len())
	for i, n := range set.Nodes {
		nodes[i] = model.Node{ID: n.ID, At: n.At}
	}
	return nodes
}

// calibClean loads a set and takes out what the audit convicts and refuses.
func calibClean(flag, dir string) (*dataset.Set, []string, error) {
	set, err := calibLoad(flag, dir)
	if err != nil {
		return nil, nil, err
	}
	report, err := audit.Run(set, audit.Options{})
	if err != nil {
		return nil, nil, err
	}
	clean, err := audit.Clean(set, report)
	return clean, report.ConvictedIDs(), err
}

func calibTry(m *model.Model, dir string) (calibScore, error) {
	set, _, err := calibClean("--score", dir)
	if err != nil {
		return calibScore{}, err
	}
	var choose, judge []model.Pair
	for i, a := range set.Nodes {
		for j, b := range set.Nodes[:i] {
			rtt, ok := set.RTT(i, j)
			if !ok {
				continue
			}
			p := model.Pair{Distance: model.Kilometres(earth.GreatCircle(a.At, b.At).Kilometres()), RTT: rtt}
			if len(choose) <= len(judge) {
				choose = append(choose, p)
			} else {
				judge = append(judge, p)
			}
		}
	}
	s := calibScore{Data: set.Name, Pairs: len(judge), Selected: "own"}
	curve, profile, err := m.Adapt(choose)
	if err != nil {
		return s, fmt.Errorf("%s: %w", set.Name, err)
	}
	if profile.Valid() {
		s.Selected = profile.String()
	}
	s.AsItIs, _ = m.Curve.Within(0.95, judge)
	s.Adapted, _ = curve.Within(0.95, judge)
	return s, nil
}

// write signs the model and writes it whole or not at all.
func (o *calibFitFlags) write(m *model.Model) error {
	key, err := identity.LoadKey(o.key, func() ([]byte, error) {
		if o.passphrase == "" {
			return nil, usagef("the key file is protected: give --passphrase-file FILE")
		}
		text, err := os.ReadFile(o.passphrase)
		return bytes.TrimSuffix(text, []byte("\n")), err
	})
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	sealed, err := m.Seal(key)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(o.out), ".model-*")
	if err != nil {
		return usagef("--out: %w", err)
	}
	defer os.Remove(draft.Name()) // gone already when all went well
	if _, err := draft.Write(sealed); err != nil {
		draft.Close()
		return fmt.Errorf("--out: %w", err)
	}
	if err := draft.Close(); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return os.Rename(draft.Name(), o.out)
}

func calibFitJSON(w io.Writer, m *model.Model, dropped []string, scores []calibScore) error {
	profiles := map[string]float64{}
	for _, s := range m.Scores {
		profiles[s.Profile.String()] = s.HeldOut
	}
	return json.NewEncoder(w).Encode(struct {
		Name     string             `json:"name"`
		Pairs    int                `json:"pairs"`
		Beacons  int                `json:"beacons"`
		Dropped  []string           `json:"dropped"`
		Profile  string             `json:"profile"`
		Profiles map[string]float64 `json:"held_out_nats"`
		Within   float64            `json:"held_out_within_95"`
		Inputs   string             `json:"inputs_sha256"`
		Expires  string             `json:"expires"`
		Scores   []calibScore       `json:"scores"`
	}{m.Name, m.Pairs, len(m.Beacons), dropped, m.Profile.String(), profiles, m.HeldOutWithin, hex.EncodeToString(m.Inputs[:]),
		time.Unix(0, m.ExpiresUnixNS).UTC().Format(time.RFC3339), append([]calibScore{}, scores...)})
}

func calibFitText(w io.Writer, m *model.Model, dropped []string, scores []calibScore) error {
	if len(dropped) > 0 {
		fmt.Fprintf(w, "left out as convicted by the audit: %v\n", dropped)
	}
	if _, err := io.WriteString(w, m.Text()); err != nil {
		return err
	}
	for _, s := range scores {
		fmt.Fprintf(w, "\non %s (%d pairs): %.1f %% within the 95 %% band as it is, %.1f %% with %s\n", s.Data, s.Pairs, 100*s.AsItIs, 100*s.Adapted, s.Selected)
	}
	return nil
}
