from .app import service_app as service_app
from .desk import Desk as Desk, Job as Job, Limits as Limits
