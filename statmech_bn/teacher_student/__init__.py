"""What is studied, and where learning starts: `TeacherStudent` and `OrderParameters`."""

from statmech_bn.teacher_student.order_parameters import OrderParameters
from statmech_bn.teacher_student.setup import TeacherStudent

__all__ = ["OrderParameters", "TeacherStudent"]
