package audit

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ursa-virtual/ursa/calib/dataset"
)

// The false-alarm rate must be what it says: of honest nodes that are taken for accused ones, one in twenty at most is given a rate
// of one in twenty. Measured leave-one-out on a public set, on the nodes that nobody has anything against.
func TestFalseAlarmRateIsWhatItSays(t *testing.T) {
	root := os.Getenv("URSA_DATA") // else beside the repository
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	for _, name := range []string{"wonderproxy-2020", "cloud-aws-2020", "cloud-gcp-2019"} {
		t.Run(name, func(t *testing.T) {
			set, err := dataset.Load(filepath.Join(root, name))
			if err != nil {
				t.Skipf("needs the measured set: %v", err)
			}
			o, err := Options{}.complete(set)
			if err != nil {
				t.Fatal(err)
			}
			e := examine(newField(set), o)
			var tried, alarms, turned int
			for i, ok := range e.w.trusted {
				if !ok {
					continue
				}
				e.w.trusted[i] = false // nobody testifies for himself
				a := e.accuse(i, 1)
				e.w.trusted[i] = true
				asked, ok := e.nearestAccuser(i)
				if !ok || e.f.chord(i, asked) < bandStart {
					continue // next door: no other place
				}
				tried++
				if a.rate <= keyRate {
					alarms++
				}
				if a.rate <= keyRate && a.nats >= keyNats {
					turned++
				}
			}
			t.Logf("of %d honest nodes %d are given a rate of at most %v, for %d the residuals' key would turn", tried, alarms, keyRate, turned)
			// Two standard deviations of a binomial are chance.
			if most := keyRate*float64(tried) + 2*math.Sqrt(keyRate*(1-keyRate)*float64(tried)); float64(alarms) > most {
				t.Errorf("%d alarms among %d honest nodes, %v was promised", alarms, tried, keyRate)
			}
		})
	}
}
