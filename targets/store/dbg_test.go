package store_test
import ("testing";"time";"os";"strconv";"github.com/anishathalye/porcupine")
func TestDbg(t *testing.T){
 n,_:=strconv.ParseUint(os.Getenv("SEEDS"),10,64)
 from,_:=strconv.ParseUint(os.Getenv("FROM"),10,64)
 bug:=os.Getenv("BUG")
 found:=0
 for seed:=from;seed<from+n;seed++{
  l:=newLoad()
  st:=time.Now()
  w:=world{nodes:3+2*int(seed%2),seed:seed,bug:bug}
  o:=w.soak(t,30*time.Second,l,true)
  if bug=="" || n<10 { t.Log(seed,time.Since(st),o.counts,o.events,len(l.history),o.String()) }
  if n<4 {t.Log(o.points)}
  if o.String()!="" {found++; if found<4 {t.Log(seed, "FOUND",o.String())}}
  _ = porcupine.Ok
 }
 t.Log("found",found,"of",n)
}
